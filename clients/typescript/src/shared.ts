/**
 * One connection for all tabs that watch a run.
 *
 * A browser opens six connections to a host over HTTP/1.1 and lets the seventh wait. So the tab
 * that holds the lock of a run reads it and sends the events on a channel; the others listen.
 * When that tab closes, the next one gets the lock and continues after its last event. The lock
 * also keeps browsers from freezing the tab that the others depend on.
 */

import type { RunEvent } from "./events.ts";
import { endingOf } from "./events.ts";
import { RunFold } from "./fold.ts";
import { type FollowOptions, followRun, type OpenRun } from "./run.ts";

type Message = { readonly want: number } | { readonly events: readonly RunEvent[] };

/** Events in one message to a tab that joins late: some hundred kilobytes. */
const PER_MESSAGE = 1000;

export class SharedRun implements AsyncIterable<RunEvent> {
  readonly state = new RunFold();
  /** Whether this tab is the one that reads from the server. */
  isReading = false;

  readonly #url: string;
  readonly #options: FollowOptions;
  readonly #channel: BroadcastChannel;
  readonly #stop = new AbortController();
  readonly #events: RunEvent[] = [];
  readonly #unsent: RunEvent[] = [];
  #hasOthers = false;
  #isClosed = false;
  #run: OpenRun | null = null;
  #failure: unknown = null;
  #wake: () => void = () => {};

  constructor(runUrl: string, options: FollowOptions = {}) {
    this.#url = runUrl;
    this.#options = options;
    this.#channel = new BroadcastChannel(`unspool ${runUrl}`);
    this.#channel.onmessage = ({ data }) => this.#receive(data);
    options.signal?.addEventListener("abort", () => this.close());
    this.#request();
    const { signal } = this.#stop;
    navigator.locks
      .request(this.#channel.name, { signal }, () => this.#read())
      .catch((error) => {
        if (!signal.aborted) this.#failure = error;
        this.#wake();
      });
  }

  get id(): string {
    return this.#url.replace(/^.*\//, "");
  }

  /** Leave; another tab reads on where this one has read. */
  close(): void {
    if (this.#isClosed) return;
    this.#send();
    this.#isClosed = true;
    this.#stop.abort();
    this.#channel.close();
    this.#wake();
  }

  disconnect(): void {
    this.#run?.disconnect();
  }

  reconnect(): void {
    this.#run?.reconnect();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RunEvent> {
    let next = 0;
    try {
      while (!this.#stop.signal.aborted) {
        for (let event = this.#events[next]; event !== undefined; event = this.#events[next]) {
          next += 1;
          this.state.apply(event);
          yield event;
          if (endingOf(event) !== null) return;
        }
        if (this.#failure !== null) throw this.#failure;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.close();
    }
  }

  async #read(): Promise<void> {
    this.isReading = true;
    const { signal } = this.#stop;
    this.#run = followRun(this.#url, { ...this.#options, signal, after: this.#events.length });
    for await (const event of this.#run) {
      this.#add([event]);
      this.#passOn(event);
    }
    this.#send();
  }

  /** Send to the other tabs, if there are any; events that arrive together are one message. */
  #passOn(event: RunEvent): void {
    if (!this.#hasOthers) return;
    if (this.#unsent.length === 0) setTimeout(() => this.#send());
    this.#unsent.push(event);
  }

  #send(): void {
    const events = this.#unsent.splice(0);
    if (events.length > 0 && !this.#isClosed) {
      this.#channel.postMessage({ events } satisfies Message);
    }
  }

  #receive(message: Message): void {
    if ("events" in message) this.#add(message.events);
    else {
      this.#hasOthers = true;
      if (this.isReading) this.#sendFrom(message.want);
    }
  }

  #sendFrom(from: number): void {
    for (let at = from; at < this.#events.length; at += PER_MESSAGE) {
      const events = this.#events.slice(at, at + PER_MESSAGE);
      this.#channel.postMessage({ events } satisfies Message);
    }
  }

  #request(): void {
    this.#channel.postMessage({ want: this.#events.length } satisfies Message);
  }

  /** Add the next events: skip those already there, request those that are missing. */
  #add(events: readonly RunEvent[]): void {
    const [first] = events;
    if (first === undefined) return;
    if (first.seq > this.#events.length + 1) {
      this.#request();
      return;
    }
    for (const event of events) if (event.seq === this.#events.length + 1) this.#events.push(event);
    this.#wake();
  }
}

/** Follow a run together with the other tabs; alone, where the browser has no locks. */
export function shareRun(runUrl: string, options: FollowOptions = {}): SharedRun | OpenRun {
  const isPossible = globalThis.navigator?.locks && globalThis.BroadcastChannel;
  return isPossible ? new SharedRun(runUrl, options) : followRun(runUrl, options);
}
