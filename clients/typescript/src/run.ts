/**
 * A run as an async iterable: `for await (const event of openRun(url, {body}))`.
 *
 * Every event of the log comes exactly once and in order, over any number of connections. The
 * loop ends when the run ends; it throws where an event is missing or the server refuses.
 */

import { Connection, type Options, rootOf } from "./connection.ts";
import { refusal, UnspoolError } from "./errors.ts";
import { endingOf, type RunEvent } from "./events.ts";
import { RunFold } from "./fold.ts";
import type { Frame } from "./sse.ts";

const QUERY = "?dialect=native";

export interface OpenOptions extends Options {
  /** The JSON of the request that starts the run. */
  readonly body?: unknown;
}

export interface FollowOptions extends Options {
  /** Number of the last event that is there already. */
  readonly after?: number | undefined;
}

export class OpenRun implements AsyncIterable<RunEvent> {
  /** The run after the events that the iterator has yielded. */
  readonly state = new RunFold();

  readonly #connection: Connection;
  #seq: number;

  constructor(connection: Connection, after: number) {
    this.#connection = connection;
    this.#seq = after;
  }

  /** The run's id; null until the server has given it. */
  get id(): string | null {
    return this.#connection.runUrl?.replace(/^.*\//, "") ?? null;
  }

  /**
   * Stop the run itself, for everybody. What was written stays; its last events still come. Before
   * the run's id is known, it is stopped as soon as it is; the loop then throws what is refused.
   */
  async cancel(): Promise<void> {
    if (this.#connection.runUrl === null) {
      this.#connection.isUnwanted = true;
      return;
    }
    const response = await this.#connection.post("cancel");
    if (!response.ok) throw await refusal(response);
    await response.body?.cancel();
  }

  /**
   * Answer a question of the run: a text, or an object that fits its schema; an approval needs no
   * value. `step` names the question where several are open. The first answer counts.
   */
  answer(value?: unknown, step = ""): Promise<void> {
    return this.#answer({ step, value });
  }

  /** Decline to answer, or to approve a tool call; the run goes on with that. */
  decline(reason = "", step = ""): Promise<void> {
    return this.#answer({ step, reason, declined: true });
  }

  async #answer(body: unknown): Promise<void> {
    const response = await this.#connection.post("answers", body);
    if (!response.ok) throw await refusal(response);
    await response.body?.cancel();
  }

  /** Leave the server, as a lost network would, until `reconnect`. */
  disconnect(): void {
    this.#connection.disconnect();
  }

  reconnect(): void {
    this.#connection.reconnect();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RunEvent> {
    for (;;) {
      let isForeign = false;
      for await (const frame of this.#connection.frames()) {
        const event = parse(frame);
        if (event === null) {
          // Started over another contract: the same run is read in ours, from the beginning.
          if (this.#seq > 0) throw new UnspoolError("protocol", "a frame that is no event");
          isForeign = true;
          this.#connection.startOver();
          break;
        }
        if (event.seq <= this.#seq) continue;
        if (event.seq !== this.#seq + 1) {
          throw new UnspoolError("gap", `event ${event.seq} came after event ${this.#seq}`);
        }
        this.#seq = event.seq;
        this.state.apply(event);
        yield event;
        if (endingOf(event) !== null) return;
      }
      if (!isForeign) return;
    }
  }
}

/** Start a run by a POST to `url` (`/v1/runs`, or a contract's own address) and follow it. */
export function openRun(url: string, options: OpenOptions = {}): OpenRun {
  const place = { post: { url, body: options.body } };
  return new OpenRun(new Connection(place, options, QUERY), 0);
}

/** Follow a run that is there: `…/v1/runs/{id}`. */
export function followRun(runUrl: string, options: FollowOptions = {}): OpenRun {
  const after = options.after ?? 0;
  const place = { runUrl: runUrl.replace(/\/$/, ""), after: after ? String(after) : "" };
  return new OpenRun(new Connection(place, options, QUERY), after);
}

/** Address of a run on the server that `url` is an address of. */
export function runUrlOf(url: string, id: string): string {
  return `${rootOf(url)}/v1/runs/${encodeURIComponent(id)}`;
}

function parse(frame: Frame): RunEvent | null {
  try {
    const event = JSON.parse(frame.data);
    return typeof event.seq === "number" && String(event.seq) === frame.id ? event : null;
  } catch {
    return null;
  }
}
