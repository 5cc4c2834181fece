/**
 * One viewer of one run: reads its events, folds them as they come, and lets pages draw.
 *
 * The fold is no reactive object: a page takes a snapshot four times a second, and what moves
 * oftener (the end of a text, the end of the thread) is drawn by the page's one frame.
 */

import { type Contact, type OpenRun, type RunEvent, UnspoolError } from "unspool-client";
import { type SharedRun, shareRun } from "unspool-client/shared";
import { type Ref, ref, type ShallowRef, shallowRef } from "vue";
import { getJson, sendJson } from "@/data/http";
import type { RunJson } from "@/data/types";
import type { Hue } from "@/thread/hues";
import { wantFrame } from "./frame";
import { type Snapshot, snapshotOf } from "./snapshot";
import { Tale } from "./tale";

/** Numbers change at most so often: more cannot be read. */
const TELL_MS = 250;
/** What earlier runs and other viewers say is asked so often. */
const ASK_MS = 2000;

/** More events than these in so short a time are no words of a model any more: a log pours in. */
const POURING = 100;
const WINDOW_MS = 100;
const POUR_MS = 150;

export class RunView {
  readonly tale: Tale;
  readonly events: RunEvent[] = [];
  readonly contact: Ref<Contact> = ref("connecting");
  readonly failure: Ref<Error | null> = ref(null);
  readonly snapshot: ShallowRef<Snapshot>;
  /** What the server says of the run beside its events: time left, viewers, forks. */
  readonly told: ShallowRef<RunJson | null> = shallowRef(null);
  /** The run as it was after an event that somebody looks back to. */
  readonly past: ShallowRef<Tale | null> = shallowRef(null);
  /** From where the stream was gone on with after a break, until that is old news. */
  readonly resumedAt: Ref<number | null> = ref(null);
  /** Told with each event, as it comes; for pages that react to some. */
  onEvent: ((event: RunEvent) => void) | null = null;

  readonly #base: (model: string) => Hue;
  readonly #stop = new AbortController();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #named: Promise<void>;
  #isNamed: () => void = () => {};
  #run: OpenRun | SharedRun;
  #lastAt = performance.now();
  #windowAt = 0;
  #inWindow = 0;
  #later: ReturnType<typeof setTimeout> | undefined;
  #wasAway = false;
  #isDone = false;

  constructor(
    open: (options: ReadingOptions) => OpenRun | SharedRun,
    base: (model: string) => Hue,
  ) {
    this.#base = base;
    this.tale = new Tale(base);
    this.#named = new Promise((resolve) => {
      this.#isNamed = resolve;
    });
    this.snapshot = shallowRef(snapshotOf(this, 0));
    this.#run = open({ signal: this.#stop.signal, onContact: (now) => this.#meet(now) });
    this.#timers.push(setInterval(() => this.#tell(), TELL_MS));
    void this.#read();
  }

  /** Seconds since the run began, by the log's clock; it goes on between two events. */
  get nowS(): number {
    if (this.tale.fold.isEnded || this.events.length === 0) return this.tale.thread.lastS;
    return this.tale.thread.lastS + (performance.now() - this.#lastAt) / 1000;
  }

  get id(): string | null {
    return this.#run.id;
  }

  /** Look back to an event, or with null return to the end. */
  look(seq: number | null): void {
    if (seq === null || seq >= this.events.length) {
      this.past.value = null;
    } else {
      const past = new Tale(this.#base);
      for (const event of this.events.slice(0, Math.max(1, seq))) past.apply(event);
      this.past.value = past;
    }
    wantFrame();
  }

  /** Stop the run itself, for everybody; as soon as it has an id, where it has none yet. */
  async cancel(): Promise<void> {
    if (this.id === null) await this.#named;
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

  async #read(): Promise<void> {
    try {
      for await (const event of this.#run) this.#take(event);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.failure.value = asError(error);
    }
    this.#isNamed();
    this.#isDone = true;
    this.#tell();
    await this.#ask();
    for (const timer of this.#timers) clearInterval(timer);
  }

  #take(event: RunEvent): void {
    if (this.events.length === 0) {
      this.#isNamed();
      queueMicrotask(() => void this.#ask());
      this.#timers.push(setInterval(() => void this.#ask(), ASK_MS));
    }
    this.events.push(event);
    this.tale.apply(event);
    this.#lastAt = performance.now();
    if (this.#wasAway) this.#resume(event.seq - 1);
    this.onEvent?.(event);
    this.#draw();
  }

  /** With the next frame; while a log that is there already pours in, a few times a second. */
  #draw(): void {
    const now = performance.now();
    if (now - this.#windowAt > WINDOW_MS) {
      this.#windowAt = now;
      this.#inWindow = 0;
    }
    this.#inWindow += 1;
    if (this.#inWindow <= POURING) wantFrame();
    else this.#later ??= setTimeout(() => this.#drawNow(), POUR_MS);
  }

  #drawNow(): void {
    this.#later = undefined;
    wantFrame();
  }

  #meet(contact: Contact): void {
    this.contact.value = contact;
    if (this.events.length > 0 && (contact === "away" || contact === "waiting")) {
      this.#wasAway = true;
    }
  }

  #resume(seq: number): void {
    this.#wasAway = false;
    this.resumedAt.value = seq;
    setTimeout(() => {
      this.resumedAt.value = null;
    }, 3000);
  }

  #tell(): void {
    this.snapshot.value = snapshotOf(this, this.nowS);
    wantFrame();
  }

  async #ask(): Promise<void> {
    const id = this.id;
    if (id === null || this.#stop.signal.aborted || document.hidden) return;
    try {
      this.told.value = await getJson<RunJson>(`/v1/runs/${id}`);
    } catch {
      // The stream tells of a lost server; this is only beside it.
    }
    if (this.#isDone) this.snapshot.value = snapshotOf(this, this.nowS);
  }
}

export interface ReadingOptions {
  readonly signal: AbortSignal;
  readonly onContact: (contact: Contact) => void;
}

/** Watch a run that is there, together with the other tabs. */
export function watch(id: string, base: (model: string) => Hue): RunView {
  return new RunView((options) => shareRun(`${location.origin}/v1/runs/${id}`, options), base);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new UnspoolError("protocol", String(error));
}
