/**
 * A conversation as an async iterable: all its turns, and the messages that wait.
 *
 * Every event comes exactly once, and in order within its turn, over any number of connections.
 * A conversation does not end: leave the loop, or abort the `signal`.
 */

import { Connection, type Options } from "./connection.ts";
import { refusal, UnspoolError } from "./errors.ts";
import type { RunEvent } from "./events.ts";

/** An event of a turn, with the turn it belongs to. */
export interface TurnEvent extends RunEvent {
  readonly turn: number;
  readonly run: string;
  /** Of the first event of a turn: the turn that it follows; 0: none. */
  readonly parent?: number;
}

/** The run of a turn was deleted, and its events with it. */
export interface TurnDeleted {
  readonly type: "turn.deleted";
  readonly turn: number;
  readonly run: string;
  readonly parent: number;
}

/** A message, as the server has it. */
export interface Message {
  readonly id: number;
  /** From 1, among those that wait; null: it has begun. */
  readonly place: number | null;
  /** Of one that has begun. */
  readonly turn: number | null;
  readonly run: string | null;
  readonly prompt: string | null;
  /** Why it cannot begin. */
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly created_at: string;
}

export interface MessageFields {
  readonly prompt?: string;
  readonly system?: string;
  readonly model?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly tool_ids?: readonly number[];
  /** Stop the current turn, and begin before all that wait. */
  readonly steer?: boolean;
}

export interface ConversationOptions extends Options {
  /** The last `place` of an earlier reader, or `now`: only what comes. */
  readonly after?: string | undefined;
  /** `current`, or the number of a turn: the turns on the path to it. */
  readonly path?: string | number | undefined;
}

export class OpenConversation implements AsyncIterable<TurnEvent | TurnDeleted> {
  /** The messages that wait, in the order in which they will begin. */
  waiting: readonly Message[] = [];
  /** Called when `waiting` has changed. */
  onWaiting: ((messages: readonly Message[]) => void) | null = null;

  readonly #connection: Connection;
  readonly #seqs = new Map<number, number>();

  constructor(url: string, { after, path, ...options }: ConversationOptions) {
    const query = new URLSearchParams({
      ...(after === "now" ? { after } : {}),
      ...(path === undefined ? {} : { path: `${path}` }),
    });
    const place = { runUrl: url.replace(/\/$/, ""), after: after === "now" ? "" : (after ?? "") };
    this.#connection = new Connection(place, options, query.size > 0 ? `?${query}` : "");
  }

  /** Where the reader is: `after` of one that goes on here. */
  get place(): string {
    return this.#connection.lastId;
  }

  /** Send a message: its turn begins, or it waits. Throws where the server refuses. */
  send(message: string | MessageFields): Promise<Message> {
    return this.#ask("messages", typeof message === "string" ? { prompt: message } : message);
  }

  /** Change a message that waits; `{steer: true}` begins it now. */
  change(id: number, fields: MessageFields): Promise<Message> {
    return this.#ask(`messages/${id}`, fields, "PATCH");
  }

  /** Withdraw a message that waits. */
  async withdraw(id: number): Promise<void> {
    const response = await this.#connection.post(`messages/${id}`, undefined, "DELETE");
    if (!response.ok) throw await refusal(response);
  }

  disconnect(): void {
    this.#connection.disconnect();
  }

  reconnect(): void {
    this.#connection.reconnect();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TurnEvent | TurnDeleted> {
    for await (const { data } of this.#connection.frames()) {
      const frame = JSON.parse(data);
      if (frame.type === "queue") {
        this.waiting = frame.messages;
        this.onWaiting?.(frame.messages);
        continue;
      }
      if (frame.type !== "turn.deleted") this.#check(frame);
      yield frame;
    }
  }

  #check({ turn, seq }: TurnEvent): void {
    // Of a turn that an earlier reader began, the first number is not known here.
    const before = this.#seqs.get(turn) ?? seq - 1;
    if (seq !== before + 1) {
      throw new UnspoolError("gap", `event ${seq} of turn ${turn} came after event ${before}`);
    }
    this.#seqs.set(turn, seq);
  }

  async #ask(what: string, body: MessageFields, method?: string): Promise<Message> {
    const response = await this.#connection.post(what, body, method);
    if (!response.ok) throw await refusal(response);
    return response.json();
  }
}

/** Follow a conversation: `…/v1/conversations/{id}`. */
export function followConversation(
  url: string,
  options: ConversationOptions = {},
): OpenConversation {
  return new OpenConversation(url, options);
}
