/**
 * One connection for all tabs that watch a run.
 *
 * A browser opens six connections to a host over HTTP/1.1 and lets the seventh wait. So the tab
 * that has the lock of a run reads it, and says what it reads on a channel; the others listen.
 * When it goes, the next one has the lock, and reads on from the last event that it heard. The
 * lock also keeps browsers from freezing the tab that the others live on.
 */

import type { RunEvent } from "./events.ts";
import { endingOf } from "./events.ts";
import { RunFold } from "./fold.ts";
import { type FollowOptions, followRun, type OpenRun } from "./run.ts";

type Message = { readonly want: number } | { readonly events: readonly RunEvent[] };

/** Events handed to one who comes late, in one message: some hundred kilobytes. */
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
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    options.signal?.addEventListener("abort", () => this.close());
    this.#ask();
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
    let told = 0;
    try {
      while (!this.#stop.signal.aborted) {
        for (let event = this.#events[told]; event !== undefined; event = this.#events[told]) {
          told += 1;
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
      this.#take([event]);
      this.#passOn(event);
    }
    this.#send();
  }

  /** To those who have asked, if anybody has; what comes together is one message. */
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

  #hear(message: Message): void {
    if ("events" in message) this.#take(message.events);
    else {
      this.#hasOthers = true;
      if (this.isReading) this.#tell(message.want);
    }
  }

  #tell(from: number): void {
    for (let at = from; at < this.#events.length; at += PER_MESSAGE) {
      const events = this.#events.slice(at, at + PER_MESSAGE);
      this.#channel.postMessage({ events } satisfies Message);
    }
  }

  #ask(): void {
    this.#channel.postMessage({ want: this.#events.length } satisfies Message);
  }

  /** Take what comes next; what was heard already is passed over, what is missing asked for. */
  #take(events: readonly RunEvent[]): void {
    const [first] = events;
    if (first === undefined) return;
    if (first.seq > this.#events.length + 1) {
      this.#ask();
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
