/**
 * One reader's place in a run, or in a conversation, whatever becomes of its connections.
 *
 * The first request is a POST that starts the run, or none; every later one is
 * `GET /v1/runs/{id}/events` with the last id. It comes back after a break, an end without the
 * last frame and a silence, until the server says that nothing is left (204).
 */

import { refusal, UnspoolError } from "./errors.ts";
import { type Frame, SseDecoder } from "./sse.ts";

export type Contact = "connecting" | "open" | "waiting" | "away";

/** The answer of `POST /v1/tickets`. */
export interface Ticket {
  readonly ticket: string;
  /** Without it, the ticket is used until the server takes it no more. */
  readonly expires_at?: string;
}

export interface Options {
  readonly signal?: AbortSignal | undefined;
  /** A key, where nobody else reads it: on a server. */
  readonly key?: string | undefined;
  /**
   * Gets a ticket for a run, by its address, from a server that has a key. Called before the first
   * connection, after the ticket's end and when the server takes it no more. An `UnspoolError` that
   * it throws is final; after any other error it is called again, as after a break.
   */
  readonly ticket?: ((runUrl: string) => Promise<Ticket>) | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Called when the state of the connection changes; the run's own state is in its events. */
  readonly onContact?: ((contact: Contact) => void) | undefined;
  /** Tries in a row without a frame before it gives up: at 10 s each, three quarters of an hour. */
  readonly maxTries?: number | undefined;
  readonly fetch?: typeof fetch | undefined;
  readonly random?: (() => number) | undefined;
}

/** Where to begin: by starting a run, or in one that is there. */
export interface Place {
  readonly post?: { readonly url: string; readonly body: unknown };
  readonly runUrl?: string;
  readonly after?: string;
}

/** Three heartbeats of the server (15 s each) may be lost; then the connection counts as dead. */
const SILENCE_MS = 45_000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
const MAX_TRIES = 270;
/** A ticket that ends so soon may end on its way. */
const MARGIN_MS = 2000;

export class Connection {
  /** `…/v1/runs/{id}`, once it is known; or that of a conversation. */
  runUrl: string | null;
  lastId: string;
  /** The run is to be stopped as soon as its address is known. */
  isUnwanted = false;

  readonly #options: Options;
  readonly #query: string;
  readonly #url: string;
  #first: (() => Promise<Response>) | null;
  #cut: AbortController | null = null;
  #isHandingOver = false;
  #leaveOld: (() => void) | null = null;
  #away: Promise<void> | null = null;
  #comeBack: (() => void) | null = null;
  #retryMs = 0;
  #lastBreak = "";
  #ticket: Ticket | undefined;

  /** `query` goes with each GET: `?dialect=native`. */
  constructor(place: Place, options: Options, query = "") {
    this.runUrl = place.runUrl ?? null;
    this.lastId = place.after ?? "";
    this.#options = options;
    this.#query = query;
    const { post } = place;
    // Every try has the same key, so a lost answer does not start a second run.
    const key = post ? crypto.randomUUID() : "";
    this.#url = post?.url ?? "";
    this.#first = post ? () => this.#post(post.url, post.body, key) : null;
  }

  /** Stay away from the server until `reconnect`; the reader keeps its place. */
  disconnect(): void {
    this.#away ??= new Promise((resolve) => {
      this.#comeBack = resolve;
    });
    this.#cut?.abort();
  }

  reconnect(): void {
    this.#comeBack?.();
    this.#away = this.#comeBack = null;
  }

  /**
   * Read the run again from its beginning, by the next request. The old connection is kept until
   * then: a run that is cancelled when its last viewer leaves must not be without one.
   */
  startOver(): void {
    this.#isHandingOver = true;
    this.lastId = "";
  }

  /** Ask the server to do something with the run. */
  post(what: string, body?: unknown, method = "POST"): Promise<Response> {
    const headers = { "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
    const init = { method, ...(body ? { headers, body: JSON.stringify(body) } : {}) };
    return this.#send(() => this.#ask(`${this.runUrl}/${what}`, init));
  }

  /** Stop the run; a break on the way is left to the next connection. */
  async #stop(): Promise<void> {
    const response = await this.post("cancel").catch(() => this.#cut?.abort());
    if (!response) return;
    this.isUnwanted = false;
    if (!response.ok) throw await refusal(response);
    await response.body?.cancel();
  }

  async *frames(): AsyncGenerator<Frame> {
    let tries = 0;
    for (;;) {
      const response = await this.#open(tries);
      if (response?.status === 204) return;
      if (response !== null) {
        for await (const frame of this.#read(response)) {
          tries = 0;
          // A frame without an id of its own (a trailer) has the one before it.
          if (frame.id !== null) this.lastId = frame.id;
          yield frame;
        }
      }
      this.#options.signal?.throwIfAborted();
      tries += 1;
      if (tries > (this.#options.maxTries ?? MAX_TRIES)) {
        const why = this.#lastBreak && ` (${this.#lastBreak})`;
        throw new UnspoolError("unreachable", `the server did not answer ${tries - 1} times${why}`);
      }
    }
  }

  /** Return an answer, or null where there was none and it is worth coming back. */
  async #open(tries: number): Promise<Response | null> {
    const { signal, onContact } = this.#options;
    if (tries > 0 && this.#away === null) {
      onContact?.("waiting");
      await pause(this.#wait(tries), signal);
    }
    // Looked at after the pause, in which the reader may have left.
    if (this.#away !== null) {
      onContact?.("away");
      await Promise.race([this.#away, aborted(signal)]);
    }
    signal?.throwIfAborted();
    onContact?.("connecting");
    this.#cut = new AbortController();
    let response: Response;
    try {
      response = await (this.#first ? this.#first() : this.#send(() => this.#get()));
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof UnspoolError) throw error;
      const url = this.runUrl ?? this.#url;
      // No later try would take it either: `/v1/runs` in Node.
      if (!URL.canParse(url, globalThis.location?.href))
        throw new UnspoolError("protocol", `${url}: outside a page, addresses begin with http://`);
      this.#lastBreak = reasonOf(error);
      return null;
    }
    this.#leaveOld?.();
    this.#leaveOld = null;
    return this.#judge(response);
  }

  async #judge(response: Response): Promise<Response | null> {
    const status = response.status;
    if (response.ok) {
      const id = response.headers.get("x-run-id");
      if (id === null && status !== 204) checkStream(response);
      if (id !== null && this.runUrl === null)
        this.runUrl = `${rootOf(response.url)}/v1/runs/${id}`;
      if (this.runUrl !== null) this.#first = null;
      if (status !== 204) this.#options.onContact?.("open");
      if (this.isUnwanted && this.runUrl !== null) await this.#stop();
      return response;
    }
    // Too busy, stopping, or a proxy without a server behind it: try again. All else is an answer.
    if (![429, 502, 503, 504].includes(status)) throw await refusal(response);
    this.#retryMs = 1000 * Number(response.headers.get("retry-after") ?? 0) || 0;
    response.body?.cancel().catch(() => {});
    return null;
  }

  /** Send with a ticket, if there are any; with a new one, where the server takes the old no more. */
  async #send(request: () => Promise<Response>): Promise<Response> {
    const old = this.#ticket;
    const isOver = !old || Date.parse(old.expires_at ?? "") < Date.now() + MARGIN_MS;
    if (isOver) await this.#renew();
    const response = await request();
    if (isOver || response.status !== 401) return response;
    void response.body?.cancel();
    await this.#renew();
    return request();
  }

  async #renew(): Promise<void> {
    this.#ticket = await this.#options.ticket?.(this.runUrl as string);
  }

  async *#read(response: Response): AsyncGenerator<Frame> {
    if (response.body === null) return;
    const reader = response.body.getReader();
    const letters = new TextDecoder();
    const decoder = new SseDecoder();
    const cut = this.#cut;
    try {
      for (;;) {
        const timer = setTimeout(() => cut?.abort(), SILENCE_MS);
        const { done, value } = await reader.read().finally(() => clearTimeout(timer));
        yield* done ? decoder.flush() : decoder.feed(letters.decode(value, { stream: true }));
        this.#retryMs = decoder.retryMs ?? this.#retryMs;
        if (done) return;
      }
    } catch (error) {
      // A failure while reading is a break, and the reader reconnects. A frame that is too long is final.
      if (error instanceof Error && error.name === "FrameTooLong") throw error;
    } finally {
      const leave = () => void reader.cancel().catch(() => {});
      if (this.#isHandingOver) this.#leaveOld = leave;
      else leave();
      this.#isHandingOver = false;
    }
  }

  #post(url: string, body: unknown, key: string): Promise<Response> {
    return this.#fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": key },
      body: JSON.stringify(body ?? {}),
    });
  }

  #get(): Promise<Response> {
    const headers: Record<string, string> = this.lastId ? { "last-event-id": this.lastId } : {};
    return this.#fetch(`${this.runUrl}/events${this.#query}`, { headers });
  }

  #fetch(url: string, init: RequestInit): Promise<Response> {
    const { signal } = this.#options;
    const cut = this.#cut?.signal as AbortSignal;
    return this.#ask(url, {
      cache: "no-store",
      ...init,
      headers: { accept: "text/event-stream", ...init.headers },
      signal: signal ? AbortSignal.any([signal, cut]) : cut,
    });
  }

  #ask(url: string, init: RequestInit): Promise<Response> {
    const { headers, key } = this.#options;
    const bearer = this.#ticket?.ticket ?? key;
    const rights = bearer && { authorization: `Bearer ${bearer}` };
    return (this.#options.fetch ?? fetch)(url, {
      ...init,
      headers: { ...(rights as HeadersInit), ...init.headers, ...headers } as HeadersInit,
    });
  }

  /** A random time up to a limit that doubles, so that readers cut together do not return together. */
  #wait(tries: number): number {
    const most = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (tries - 1));
    return this.#retryMs + most * (this.#options.random ?? Math.random)();
  }
}

/** Where the server's own paths begin; a proxy may serve them below a path or name like these. */
const OWN = /\/(api\/(debug|v1\/(projects|events|causal-graph))|ai\/(generate|stream)|v1\/).*/;

/** The part of a URL before the server's own paths. */
export function rootOf(url: string): string {
  return url.replace(OWN.test(url) ? OWN : /(?<=^(\w+:\/\/[^/]+)?)\/.*/, "");
}

/** A page for people at a wrong address is 200 too, and no later try would find a run there. */
function checkStream({ headers, url }: Response): void {
  const type = headers.get("content-type");
  if (type?.startsWith("text/event-stream")) return;
  throw new UnspoolError("protocol", `${url} answered ${type}, not a stream: a wrong address?`);
}

/** Node has the reason ("connect ECONNREFUSED …") in the cause; a browser tells it to no page. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string } };
  return cause?.message || message || "";
}

function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) =>
    signal?.addEventListener("abort", () => resolve(), { once: true }),
  );
}

/** Wait for a time, or until the browser is online again. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const listening = new AbortController();
    const wake = () => {
      clearTimeout(timer);
      listening.abort();
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal?.addEventListener("abort", wake, listening);
    globalThis.addEventListener?.("online", wake, listening);
  });
}
