/**
 * A run as a page shows it: a state that is replaced once in a frame of the screen, at most.
 *
 * `vue.ts` and `react.ts` are made of it. Before `enter` nothing is sent, so a page that is
 * rendered on a server starts nothing there. `leave` leaves the run, which goes on; the next
 * `enter` comes back to the same place. For each event it does the same small work, however long
 * the text is.
 */

import type { Contact, Options } from "./connection.ts";
import { UnspoolError } from "./errors.ts";
import type { RunEvent } from "./events.ts";
import type { Question, RunFold, Step, ToolCall } from "./fold.ts";
import { followRun, type OpenRun, openRun, runUrlOf } from "./run.ts";

export interface RunOptions extends Pick<Options, "key" | "ticket" | "headers" | "fetch"> {
  /** Where runs are started: `/v1/runs` (of the page's own host), or a contract's own address. */
  readonly url?: string | undefined;
  /** Keep the run's id under this name in `sessionStorage`: a refresh of the tab shows it whole. */
  readonly remember?: string | undefined;
}

export interface ShownStep extends Readonly<Omit<Step, "toolCalls">> {
  readonly toolCalls: readonly Readonly<ToolCall>[];
}

export interface RunState {
  /** Null until the server has given it. */
  readonly id: string | null;
  /** `idle` before `start` or `follow`. */
  readonly status: "idle" | RunFold["status"];
  /** Whether it is under way, as far as this page knows. */
  readonly isLive: boolean;
  readonly text: string;
  readonly reasoning: string;
  readonly steps: readonly ShownStep[];
  readonly toolCalls: readonly Readonly<ToolCall>[];
  readonly openQuestions: readonly Question[];
  readonly result: unknown;
  /** Why it is not whole, or why it cannot be followed; `status` is that of HTTP. */
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly status: number | null;
  } | null;
  /** Over the last five seconds; it falls while nothing comes. */
  readonly tokensPerS: number;
  /** Seconds, where the flow says how much there is to do. */
  readonly leftS: number | null;
  /** The state of the connection, not of the run; null: there is none to keep. */
  readonly contact: Contact | null;
}

export interface RunActions {
  /** Start a run with the JSON of its request, in place of the one that is shown. */
  readonly start: (body: unknown) => void;
  /** Show a run that is there, by its id, or its address; it is asked for at the server of `url`. */
  readonly follow: (run: string) => void;
  /** Stop the run, for everybody; also before its id is known. Rejects where the server refuses. */
  readonly cancel: () => Promise<void>;
  /** Answer an open question; `step` names it where there are several. */
  readonly answer: (value?: unknown, step?: string) => Promise<void>;
  readonly decline: (reason?: string, step?: string) => Promise<void>;
  readonly disconnect: () => void;
  readonly reconnect: () => void;
  /** Show no run, and remember none. The run itself goes on. */
  readonly reset: () => void;
}

export const IDLE: RunState = {
  id: null,
  status: "idle",
  isLive: false,
  text: "",
  reasoning: "",
  steps: [],
  toolCalls: [],
  openQuestions: [],
  result: null,
  error: null,
  tokensPerS: 0,
  leftS: null,
  contact: null,
};

/** A screen that is not shown has no frames. */
const HIDDEN_MS = 250;
const FRAME_MS = 16;
/** A speed that nothing new is heard of is computed again. */
const SPEED_MS = 1000;

export class WatchedRun {
  readonly actions: RunActions = {
    start: (body) => this.#start(body),
    follow: (run) => this.#follow(run),
    cancel: () => this.#cancel(),
    answer: async (value, step) => this.#run?.answer(value, step),
    decline: async (reason, step) => this.#run?.decline(reason, step),
    disconnect: () => this.#run?.disconnect(),
    reconnect: () => this.#run?.reconnect(),
    reset: () => this.#reset(),
  };

  #options: RunOptions;
  #state = IDLE;
  readonly #listeners = new Set<() => void>();
  #isIn = false;
  #begin: (() => void) | null = null;
  #run: OpenRun | null = null;
  #stop = new AbortController();
  #contact: Contact | null = null;
  #failure: RunState["error"] = null;
  #isUnwanted = false;
  #newest: RunEvent | null = null;
  #clockGapMs = 0;
  readonly #touched = new Set<string>();
  readonly #steps = new Map<string, ShownStep>();
  #noFrame: (() => void) | null = null;
  #speed: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  /**
   * Take a ticket function, key and headers for what is begun, and asked for, from now on. Another
   * name to remember shows the run of that name, in place of this one.
   */
  readonly use = (options: RunOptions): void => {
    const { remember } = this.#options;
    this.#options = options;
    if (!this.#isIn || !remember || !options.remember || remember === options.remember) return;
    this.#drop();
    this.#show();
    this.enter();
  };

  readonly read = (): RunState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The page shows it from now on: begin what was asked for, come back, or resume. */
  readonly enter = (): void => {
    this.#isIn = true;
    const run = this.#remembered;
    if (this.#begin !== null) this.#soon();
    else if (this.#run !== null) this.#run.reconnect();
    else if (run !== null) this.#follow(run, true);
  };

  /** The page shows it no more. */
  readonly leave = (): void => {
    this.#isIn = false;
    // Later, because in StrictMode React leaves and enters again at once.
    queueMicrotask(() => {
      if (this.#isIn) return;
      this.#run?.disconnect();
      clearTimeout(this.#speed);
    });
  };

  #start(body: unknown): void {
    this.#remembered = null;
    const url = this.#options.url ?? "/v1/runs";
    this.#open((options) => openRun(url, { ...options, body }));
  }

  #follow(run: string, isResumed = false): void {
    // The id alone: an address in somebody's link must not get the key of this page.
    const id = run.replace(/\/$/, "").replace(/^.*\//, "");
    if (this.#run?.id === id && this.#failure === null) return;
    this.#remembered = id;
    const url = runUrlOf(this.#options.url ?? "/v1/runs", id);
    this.#open((options) => followRun(url, options), isResumed);
  }

  #open(begin: (options: Options) => OpenRun, isResumed = false): void {
    this.#drop();
    this.#begin = () => {
      this.#begin = null;
      const { key, headers, fetch, ticket } = this.#options;
      const run = begin({
        ...{ key, headers, fetch, signal: this.#stop.signal },
        // The newest function of the page, though the connection keeps this one.
        ticket: ticket && ((url) => (this.#options.ticket ?? ticket)(url)),
        onContact: (contact) => run === this.#run && this.#hear(run, contact),
      });
      this.#run = run;
      void this.#read(run, isResumed);
      this.#show();
    };
    this.#soon();
  }

  /** Begin when the caller is done: of two that an effect asks for, as React runs it twice, one. */
  #soon(): void {
    queueMicrotask(() => this.#isIn && this.#begin?.());
  }

  #drop(): void {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#begin = this.#run = this.#contact = this.#failure = this.#newest = null;
    this.#isUnwanted = false;
    this.#touched.clear();
    this.#steps.clear();
  }

  #reset(): void {
    this.#drop();
    this.#remembered = null;
    this.#show();
  }

  async #read(run: OpenRun, isResumed: boolean): Promise<void> {
    try {
      for await (const event of run) {
        if (run !== this.#run) return;
        this.#newest = event;
        if (typeof event.data.step === "string") this.#touched.add(event.data.step);
        this.#later();
      }
    } catch (error) {
      if (run !== this.#run) return;
      this.#fail(error);
      // Deleted, or of another server: a page that is loaded again begins with nothing.
      if (isResumed && this.#failure?.status === 404) this.#reset();
    }
    if (run !== this.#run) return;
    this.#contact = null;
    this.#show();
  }

  #hear(run: OpenRun, contact: Contact): void {
    this.#contact = contact;
    this.#later();
    if (contact !== "open" || run.id === null) return;
    this.#remembered ??= run.id;
    if (!this.#isUnwanted) return;
    this.#isUnwanted = false;
    run.cancel().catch((error) => this.#fail(error));
  }

  async #cancel(): Promise<void> {
    const run = this.#run;
    if (run?.id) await run.cancel();
    else this.#isUnwanted = run !== null;
    // Never sent: nothing is there to be stopped.
    if (run === null && this.#begin !== null) this.#reset();
  }

  #fail(error: unknown): void {
    const { message, ...rest } = error as Partial<UnspoolError>;
    const isOurs = error instanceof UnspoolError;
    const code = isOurs ? (error.serverCode ?? error.code) : "protocol";
    this.#failure = { code, message: `${message}`, status: rest.status ?? null };
    this.#later();
  }

  #later(): void {
    this.#noFrame ??= onFrame(() => this.#show());
  }

  #show(): void {
    this.#noFrame?.();
    this.#noFrame = null;
    clearTimeout(this.#speed);
    this.#state = this.#run === null ? IDLE : this.#after(this.#run);
    const { isLive, tokensPerS } = this.#state;
    if (isLive && this.#isIn && tokensPerS > 0) {
      this.#speed = setTimeout(() => this.#show(), SPEED_MS);
    }
    for (const listener of this.#listeners) listener();
  }

  #after(run: OpenRun): RunState {
    const { id, state: fold } = run;
    const old = this.#state;
    const steps = kept(old.steps, this.#shown(fold));
    const { code = "", message = "" } = fold.error ?? {};
    const error = fold.error && { code, message, status: null };
    return {
      id,
      status: fold.status,
      isLive: !fold.isEnded && this.#contact !== null,
      text: textOf(steps, "text"),
      reasoning: textOf(steps, "reasoning"),
      steps,
      toolCalls: kept(
        old.toolCalls,
        steps.flatMap((step) => step.toolCalls),
      ),
      openQuestions: kept(old.openQuestions, fold.openQuestions),
      result: fold.result,
      error: this.#failure ?? error,
      tokensPerS: fold.tokensPerS(this.#now()),
      leftS: fold.leftS,
      contact: this.#contact,
    };
  }

  /** The steps, with new objects for those that have changed. */
  #shown(fold: RunFold): ShownStep[] {
    for (const name of this.#touched) {
      const step = fold.steps.get(name);
      if (step === undefined) continue;
      const toolCalls = step.toolCalls.map((call) => ({ ...call }));
      this.#steps.set(name, { ...step, toolCalls });
    }
    this.#touched.clear();
    return [...fold.steps.keys()].flatMap((name) => this.#steps.get(name) ?? []);
  }

  /** The log's own time; between events it goes on as ours does. */
  #now(): number | undefined {
    if (this.#newest !== null) this.#clockGapMs = Date.now() - this.#newest.at_ms;
    const isNew = this.#newest !== null;
    this.#newest = null;
    return isNew ? undefined : Date.now() - this.#clockGapMs;
  }

  get #remembered(): string | null {
    if (!this.#options.remember) return null;
    return onThisTab((names) => names.getItem(this.#name)) ?? null;
  }

  set #remembered(run: string | null) {
    if (!this.#options.remember) return;
    onThisTab((names) =>
      run === null ? names.removeItem(this.#name) : names.setItem(this.#name, run),
    );
  }

  get #name(): string {
    return `unspool ${this.#options.remember}`;
  }
}

/** Do something at the next frame of the screen, if there is one; return how not to. */
function onFrame(act: () => void): () => void {
  const hasFrames = "requestAnimationFrame" in globalThis;
  const frame = hasFrames ? requestAnimationFrame(act) : 0;
  const timer = setTimeout(act, hasFrames ? HIDDEN_MS : FRAME_MS);
  return () => {
    clearTimeout(timer);
    if (hasFrames) cancelAnimationFrame(frame);
  };
}

/** What this tab keeps. A browser may forbid it, and a server has nothing of the kind. */
function onThisTab<T>(act: (names: Storage) => T): T | undefined {
  try {
    return act(globalThis.sessionStorage);
  } catch {
    return undefined;
  }
}

/** The old list, where the new one has the same things. */
function kept<T>(old: readonly T[], list: readonly T[]): readonly T[] {
  return old.length === list.length && old.every((each, at) => each === list[at]) ? old : list;
}

function textOf(steps: readonly ShownStep[], what: "text" | "reasoning"): string {
  return steps.reduce((all, step) => (step.isUnseen ? all : all + step[what]), "");
}
