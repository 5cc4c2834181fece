/** The fourth seed's `SSEClient`: a POST whose frames go to listeners by their `type`. */

import { Connection, type Options } from "../connection.ts";

// biome-ignore lint/suspicious/noExplicitAny: frames are what the contract of their address says.
export type Payload = any;
export type Listener = (data: Payload) => void;

export class SSEClient {
  readonly #url: string;
  readonly #body: unknown;
  readonly #options: Options;
  readonly #listeners = new Map<string, Set<Listener>>();
  #stop: AbortController | null = null;

  constructor(url: string, body: unknown = {}, options: Options = {}) {
    this.#url = url;
    this.#body = body;
    this.#options = options;
  }

  /** Listen to frames of one `type`; `*` is all of them, `close` the end, `error` failures too. */
  on(type: string, listener: Listener): this {
    const those = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, those.add(listener));
    return this;
  }

  /** Listen no more: one listener, or all of the type. */
  off(type: string, listener?: Listener): this {
    if (listener) this.#listeners.get(type)?.delete(listener);
    else this.#listeners.delete(type);
    return this;
  }

  emit(type: string, data?: Payload): this {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) listener(data);
    return this;
  }

  /** Begin, once; the promise is fulfilled at the end of the stream, however it ends. */
  async connect(): Promise<void> {
    if (this.#stop !== null) return;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const place = { post: { url: this.#url, body: this.#body } };
    try {
      for await (const frame of new Connection(place, { ...this.#options, signal }).frames()) {
        if (signal.aborted) return;
        const data = read(frame.data);
        this.emit("*", data);
        if (typeof data?.type === "string") this.emit(data.type, data);
        if (data?.type === "done" || data?.type === "error") break;
      }
    } catch (error) {
      if (signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      this.emit("error", { type: "error", error: message, message });
    }
    this.emit("close");
  }

  disconnect(): void {
    this.#stop?.abort();
    this.#stop ??= new AbortController();
  }
}

/** One frame that cannot be read is left out; the rest still counts. */
export function read(data: string): Payload {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
