/**
 * The timeline of a run, as a fold of its events.
 *
 * Text comes in stretches (one writer, one step, no pause over a second), each a row of buckets
 * of 200 ms. Between two of them there is silence, or a seam where an attempt broke off.
 */

import { type Ending, endingOf, type RunEvent, weigh } from "unspool-client";
import type { Hue, Hues } from "./hues";

const BUCKET_S = 0.2;
/** The shortest silence that is drawn. */
const PAUSE_S = 1;

export interface Stretch {
  readonly hue: Hue;
  readonly t0: number;
  t1: number;
  readonly bucketS: number;
  /** Tokens in each bucket since `t0`. */
  readonly buckets: number[];
}

export interface Seam {
  /** When one attempt broke off and when the next one's first word came, in seconds. */
  readonly t0: number;
  readonly t1: number;
  readonly seq: number;
  readonly step: string;
  /** The attempt that continued; null if fixed text did. */
  readonly attempt: number | null;
  readonly cause: string;
  readonly from: string;
  readonly to: string;
  readonly strategy: string;
}

export interface Bracket {
  readonly name: string;
  readonly t0: number;
  t1: number | null;
  isRewound: boolean;
}

/** While a person was asked, in seconds; `t1` is null while the question is open. */
export interface Wait {
  readonly t0: number;
  t1: number | null;
}

export interface TimelineShape {
  readonly stretches: readonly Stretch[];
  readonly seams: readonly Pick<Seam, "t0" | "t1" | "seq">[];
  readonly steps: readonly Bracket[];
  readonly waits?: readonly Wait[];
  readonly end: Ending | null;
  /** Time of the newest event. */
  readonly lastS: number;
}

export class TimelineFold implements TimelineShape {
  readonly stretches: Stretch[] = [];
  readonly seams: Seam[] = [];
  readonly steps: Bracket[] = [];
  readonly waits: Wait[] = [];
  end: Ending | null = null;
  lastS = 0;
  /** Time of the last word; the silence since then is drawn as a slack line. */
  lastWordS: number | null = null;
  /** Seconds between one word and the next, the newest hundred. */
  readonly gaps: number[] = [];

  readonly #hues: Hues;
  /** Open questions, by step. */
  readonly #questions = new Map<string, Wait>();
  #startMs = 0;
  /** The last stretch of each writer: steps may be written at the same time. */
  readonly #open = new Map<string, Stretch>();
  readonly #began = new Map<string, number>();
  readonly #writers = new Map<string, { model: string; strategy: string; number: number }>();
  readonly #broken = new Map<string, { t: number; model: string; code: string }>();
  readonly #spoken = new Set<string>();

  constructor(hues: Hues) {
    this.#hues = hues;
  }

  apply(event: RunEvent): void {
    if (event.type === "run.started") this.#startMs = event.at_ms;
    this.lastS = Math.max(this.lastS, (event.at_ms - this.#startMs) / 1000);
    const { type, data } = event;
    if (type === "text.delta" || type === "reasoning.delta") this.#word(event, data.text);
    else if (type === "tool.delta") this.#word(event, data.arguments ?? "");
    else if (type.startsWith("attempt.")) this.#attempt(event);
    else if (type.startsWith("step.")) this.#step(event);
    else if (type.startsWith("question.")) this.#question(event);
    this.end = endingOf(event) ?? this.end;
    if (this.end !== null) for (const step of this.steps) step.t1 ??= this.lastS;
    if (this.end !== null) for (const wait of this.waits) wait.t1 ??= this.lastS;
  }

  #question({ type, data }: RunEvent): void {
    const open = this.#questions.get(data.step);
    this.#questions.delete(data.step);
    if (open !== undefined) open.t1 = this.lastS;
    if (type !== "question.asked") return;
    const wait = { t0: this.lastS, t1: null };
    this.waits.push(wait);
    this.#questions.set(data.step, wait);
  }

  /** The present writer of a step; fixed text has no attempt. */
  writerOf(step: string): string {
    return this.#writers.get(step)?.model ?? "template";
  }

  #word(event: RunEvent, text: string): void {
    const step: string = event.data.step;
    const now = this.lastS;
    const writer = this.writerOf(step);
    const hue = this.#hues.of(writer);
    this.#addSeam(event, step, now);
    if (this.lastWordS !== null) this.gaps.push(now - this.lastWordS);
    if (this.gaps.length > 100) this.gaps.shift();
    let stretch = this.#open.get(writer);
    // A step that began after the last word opens a new stretch; a parallel one does not.
    const isNew =
      stretch === undefined ||
      now - stretch.t1 > PAUSE_S ||
      (this.#began.get(step) ?? 0) > stretch.t1;
    if (stretch === undefined || isNew) {
      stretch = { hue, t0: now, t1: now, bucketS: BUCKET_S, buckets: [] };
      this.stretches.push(stretch);
      this.#open.set(writer, stretch);
    }
    const at = Math.floor((now - stretch.t0) / BUCKET_S);
    while (stretch.buckets.length <= at) stretch.buckets.push(0);
    stretch.buckets[at] = (stretch.buckets[at] ?? 0) + weigh(text) / 12;
    stretch.t1 = now;
    this.lastWordS = now;
    if (event.type === "text.delta") this.#spoken.add(step);
  }

  /** The first word after a break that left text behind makes a seam. */
  #addSeam(event: RunEvent, step: string, now: number): void {
    const broken = this.#broken.get(step);
    if (broken === undefined) return;
    this.#broken.delete(step);
    if (!this.#spoken.has(step)) return;
    const writer = this.#writers.get(step);
    this.seams.push({
      t0: broken.t,
      t1: now,
      seq: event.seq,
      step,
      attempt: writer?.number ?? null,
      cause: broken.code,
      from: broken.model,
      to: this.writerOf(step),
      strategy: writer?.strategy ?? "template",
    });
    this.#open.delete(this.writerOf(step));
  }

  #attempt({ type, data }: RunEvent): void {
    const step: string = data.step;
    if (type === "attempt.started") {
      const { model, strategy, number } = data;
      // An attempt that was live when its server died has no event for its end.
      const before = this.#writers.get(step);
      if (before && !this.#broken.has(step)) this.#break(step, before.model, "interrupted");
      this.#writers.set(step, { model, strategy, number });
      this.#hues.of(model);
    } else if (type === "attempt.failed") {
      const writer = this.#writers.get(step);
      this.#writers.delete(step);
      if (!this.#broken.has(step)) this.#break(step, writer?.model ?? "", data.code);
    } else if (type === "attempt.finished") {
      this.#writers.delete(step);
    }
  }

  #break(step: string, model: string, code: string): void {
    if (this.#spoken.has(step)) this.#broken.set(step, { t: this.lastS, model, code });
  }

  #step({ type, data }: RunEvent): void {
    const name: string = data.step;
    if (type === "step.started") {
      this.#began.set(name, this.lastS);
      if (!this.steps.some((step) => step.name === name && step.t1 === null)) {
        this.steps.push({ name, t0: this.lastS, t1: null, isRewound: false });
      }
      return;
    }
    // Taking back half a line does not end the step.
    if (type === "step.rewound" && data.at !== undefined) return;
    const open = this.steps.findLast((step) => step.name === name);
    if (open !== undefined) open.t1 = this.lastS;
    this.#broken.delete(name);
    if (type !== "step.rewound" || open === undefined) return;
    open.isRewound = true;
    this.#spoken.delete(name);
    this.steps.push({ name, t0: this.lastS, t1: null, isRewound: false });
  }
}
