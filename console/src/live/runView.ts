/**
 * One viewer of one run: it reads the events, folds them as they come, and lets pages draw.
 *
 * The fold is not reactive. A page takes a snapshot four times a second; what moves more often
 * (the end of a text, the end of a timeline) is drawn in the page's animation frame.
 */

import { type Contact, type OpenRun, type RunEvent, UnspoolError } from "unspool-client";
import { type SharedRun, shareRun } from "unspool-client/shared";
import { type Ref, ref, type ShallowRef, shallowRef, triggerRef } from "vue";
import { fetchWithKey } from "@/data/gate";
import { getJson, sendJson } from "@/data/http";
import type { RunProgress } from "@/data/types";
import type { Hue } from "@/timeline/hues";
import { wantFrame } from "./frame";
import { type Passage, RunModel } from "./runModel";
import { type Snapshot, snapshotOf } from "./snapshot";

/** Between two snapshots: nobody can read numbers that change faster. */
const SNAPSHOT_MS = 250;
/** Between two questions for the time left and the number of viewers. */
const PROGRESS_MS = 2000;

/** A model does not write this many events in a window: a log that is already there is loading. */
const LOADING_EVENTS = 100;
const WINDOW_MS = 100;
/** Between two drawings of a log that is loading. */
const LOADING_MS = 150;

/** For this long a log that is loading is not laid out in pieces: a long text is laid out once. */
const LOADING_MOST_MS = 1000;

/** Within this time of a reconnect, the events come that were missed. */
const CATCH_UP_MS = 1500;

export class RunView {
  readonly runModel: RunModel;
  readonly events: RunEvent[] = [];
  readonly contact: Ref<Contact> = ref("connecting");
  readonly failure: Ref<Error | null> = ref(null);
  readonly snapshot: ShallowRef<Snapshot>;
  /** What the events do not say: time left, viewers, forks. */
  readonly progress: ShallowRef<RunProgress | null> = shallowRef(null);
  /** The run as it was after an earlier event, while the user looks back at it. */
  readonly past: ShallowRef<RunModel | null> = shallowRef(null);
  /** The last event before a reconnect, for a few seconds after it. */
  readonly resumedAt: Ref<number | null> = ref(null);
  /** Called when the run has an id, before its first event. */
  onId: ((id: string) => void) | null = null;
  /** Called with each event as it comes. */
  onEvent: ((event: RunEvent) => void) | null = null;

  readonly #hueOf: (model: string) => Hue;
  readonly #stop = new AbortController();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #hasId: Promise<void>;
  #resolveId: () => void = () => {};
  #run: OpenRun | SharedRun;
  #lastAt = performance.now();
  #beganAt = 0;
  #windowAt = 0;
  #inWindow = 0;
  #delayed: ReturnType<typeof setTimeout> | undefined;
  #wasAway = false;
  /** Since when this page gets no events; nobody knows whether the model is silent meanwhile. */
  #awayAt: number | null = null;
  #isDone = false;

  constructor(
    open: (options: ReadingOptions) => OpenRun | SharedRun,
    hueOf: (model: string) => Hue,
  ) {
    this.#hueOf = hueOf;
    this.runModel = new RunModel(hueOf);
    this.#hasId = new Promise((resolve) => {
      this.#resolveId = resolve;
    });
    this.snapshot = shallowRef(snapshotOf(this, 0));
    this.#run = open({
      signal: this.#stop.signal,
      onContact: (now) => this.#setContact(now),
      fetch: fetchWithKey,
    });
    this.#timers.push(setInterval(() => this.#takeSnapshot(), SNAPSHOT_MS));
    void this.#follow();
  }

  /** Seconds since the run began, by the log's clock; it goes on between two events. */
  get nowS(): number {
    if (this.runModel.fold.isEnded || this.events.length === 0) return this.runModel.timeline.lastS;
    const now = this.#awayAt ?? performance.now();
    return this.runModel.timeline.lastS + (now - this.#lastAt) / 1000;
  }

  /** Whether more of a log that is already there comes within a moment. */
  get isLoading(): boolean {
    return this.#delayed !== undefined && performance.now() - this.#beganAt < LOADING_MOST_MS;
  }

  /** The text of a step so far; null while there is nothing to draw. */
  passageOf(step: string): Passage | null {
    const { passages } = this.past.value ?? this.runModel;
    return this.isLoading ? null : (passages.get(step) ?? null);
  }

  get isAway(): boolean {
    return this.#awayAt !== null;
  }

  get id(): string | null {
    return this.#run.id;
  }

  /** Show the run as it was after an event; null shows it as it is. */
  showAt(seq: number | null): void {
    if (seq === null || seq >= this.events.length) {
      this.past.value = null;
    } else {
      const wanted = Math.max(1, seq);
      // Forward, as in a replay, only what came between is read again.
      let past = this.past.value;
      if (past === null || past.fold.seq > wanted) past = new RunModel(this.#hueOf);
      for (const event of this.events.slice(past.fold.seq, wanted)) past.apply(event);
      this.past.value = past;
      triggerRef(this.past);
    }
    wantFrame();
  }

  /** Cancel the run itself, for everybody; as soon as it has an id. */
  async cancel(): Promise<void> {
    if (this.id === null) await this.#hasId;
    if (this.id !== null) await sendJson("POST", `/v1/runs/${this.id}/cancel`);
  }

  disconnect(): void {
    this.#run.disconnect();
  }

  reconnect(): void {
    this.#run.reconnect();
  }

  close(): void {
    this.#stop.abort();
    for (const timer of this.#timers) clearInterval(timer);
  }

  async #follow(): Promise<void> {
    try {
      for await (const event of this.#run) this.#apply(event);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.failure.value = asError(error);
    }
    this.#resolveId();
    this.#isDone = true;
    clearTimeout(this.#delayed);
    this.#delayed = undefined;
    this.#takeSnapshot();
    await this.#readProgress();
    for (const timer of this.#timers) clearInterval(timer);
  }

  #apply(event: RunEvent): void {
    if (this.events.length === 0) {
      this.#beganAt = performance.now();
      queueMicrotask(() => void this.#readProgress());
      this.#timers.push(setInterval(() => void this.#readProgress(), PROGRESS_MS));
    }
    this.events.push(event);
    this.runModel.apply(event);
    this.#lastAt = performance.now();
    this.#awayAt = null;
    if (this.#wasAway) this.#showResumed(event.seq - 1);
    this.onEvent?.(event);
    this.#draw();
  }

  /** Draw with the next frame; while a log is loading, a few times a second. */
  #draw(): void {
    const now = performance.now();
    if (now - this.#windowAt > WINDOW_MS) {
      this.#windowAt = now;
      this.#inWindow = 0;
    }
    this.#inWindow += 1;
    if (this.#inWindow <= LOADING_EVENTS) wantFrame();
    else this.#delayed ??= setTimeout(() => this.#drawNow(), LOADING_MS);
  }

  #drawNow(): void {
    this.#delayed = undefined;
    wantFrame();
  }

  #setContact(contact: Contact): void {
    this.contact.value = contact;
    if (contact === "open" && this.id !== null) this.#found(this.id);
    if (this.events.length > 0 && (contact === "away" || contact === "waiting")) {
      this.#wasAway = true;
      this.#awayAt ??= performance.now();
    }
    // What was missed comes at once; what has not come by then has not been written.
    if (contact === "open") setTimeout(() => this.#isBack(), CATCH_UP_MS);
  }

  #isBack(): void {
    if (this.contact.value === "open") this.#awayAt = null;
  }

  #found(id: string): void {
    this.#resolveId();
    this.onId?.(id);
    this.onId = null;
  }

  #showResumed(seq: number): void {
    this.#wasAway = false;
    this.resumedAt.value = seq;
    setTimeout(() => {
      this.resumedAt.value = null;
    }, 3000);
  }

  #takeSnapshot(): void {
    this.snapshot.value = snapshotOf(this, this.nowS);
    wantFrame();
  }

  async #readProgress(): Promise<void> {
    const id = this.id;
    if (id === null || this.#stop.signal.aborted || document.hidden) return;
    try {
      this.progress.value = await getJson<RunProgress>(`/v1/runs/${id}/progress`);
    } catch {
      // The stream shows a lost server; these numbers may be missing.
    }
    if (this.#isDone) this.snapshot.value = snapshotOf(this, this.nowS);
  }
}

export interface ReadingOptions {
  readonly signal: AbortSignal;
  readonly onContact: (contact: Contact) => void;
  readonly fetch: typeof fetch;
}

/** Watch an existing run; the tabs of a browser share one connection. */
export function watchRun(id: string, hueOf: (model: string) => Hue): RunView {
  return new RunView((options) => shareRun(`${location.origin}/v1/runs/${id}`, options), hueOf);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new UnspoolError("protocol", String(error));
}
