/**
 * The log as rows: one per event, or one per stretch of a step.
 *
 * Steps may be written at the same time, so a stretch is what one step wrote until something else
 * happened to that step; other steps may have written in between.
 */

import type { RunEvent } from "unspool-client";

export interface EventRow {
  readonly first: number;
  last: number;
  count: number;
  readonly type: string;
  /** Seconds since the run began. */
  t: number;
  text: string;
  readonly event: RunEvent;
}

const DELTAS = new Set(["text.delta", "reasoning.delta", "tool.delta"]);
/** As much text as a row can show. */
const MAX_CHARS = 160;

export class EventRows {
  readonly folded: EventRow[] = [];
  readonly single: EventRow[] = [];
  /** By `seq` - 1: the place of the folded row that holds the event. */
  readonly places: number[] = [];
  /** By step: the place of the row that its next delta joins. */
  readonly #open = new Map<string, number>();
  #startMs = 0;

  /** Add the new events of a log that only grows. */
  extend(events: readonly RunEvent[]): void {
    for (let at = this.single.length; at < events.length; at += 1)
      this.#add(events[at] as RunEvent);
  }

  #add(event: RunEvent): void {
    if (event.seq === 1) this.#startMs = event.at_ms;
    const t = (event.at_ms - this.#startMs) / 1000;
    const text = textOf(event);
    const { seq, type } = event;
    const row = { first: seq, last: seq, count: 1, type, t, text, event };
    this.single.push(row);
    const step: string | undefined = event.data.step;
    const place = step === undefined ? undefined : this.#open.get(step);
    const before = place === undefined ? undefined : this.folded[place];
    if (place === undefined || before === undefined || before.type !== type) {
      this.#begin({ ...row }, step);
      return;
    }
    before.last = seq;
    before.count += 1;
    before.t = t;
    if (before.text.length < MAX_CHARS) before.text += text;
    this.places.push(place);
  }

  #begin(row: EventRow, step: string | undefined): void {
    this.places.push(this.folded.length);
    this.folded.push(row);
    if (step === undefined) return;
    if (DELTAS.has(row.type)) this.#open.set(step, this.folded.length - 1);
    else this.#open.delete(step);
  }
}

function textOf({ type, data }: RunEvent): string {
  const format = TEXTS[type];
  if (format !== undefined) return format(data).replaceAll("\n", "⏎").slice(0, MAX_CHARS);
  return Object.keys(data).length > 0 ? JSON.stringify(data).slice(0, MAX_CHARS) : "";
}

const join = (...parts: unknown[]) => parts.filter((part) => part || part === 0).join(" · ");

const TEXTS: Readonly<Record<string, (data: RunEvent["data"]) => string>> = {
  "run.started": (d) => join(d.flow, d.model, d.dialect),
  "run.released": (d) => `epoch ${d.epoch}`,
  "run.recovered": (d) => join(d.reason, `epoch ${d.epoch}`),
  "step.started": (d) => d.step,
  "step.finished": (d) => join(d.step, d.model, d.finish_reason, `${d.chars} chars`),
  "step.rewound": (d) => d.step,
  "question.asked": (d) => join(d.step, d.text),
  "question.answered": (d) => join(d.step, d.outcome, d.reason),
  "attempt.queued": (d) => join(d.model, `#${d.place}`),
  "attempt.silent": (d) => join(d.step, `${d.for_s} s`),
  "attempt.started": (d) => join(d.model, d.step, d.strategy !== "first" && d.strategy, d.reason),
  "attempt.kept": (d) => join(d.step, d.handle),
  "attempt.finished": (d) =>
    join(
      d.step,
      `finish_reason=${d.finish_reason}`,
      d.usage && `${d.usage.completion_tokens} tokens`,
    ),
  "attempt.failed": (d) => join(d.code, d.message),
  "text.delta": (d) => d.text,
  "reasoning.delta": (d) => d.text,
  "tool.delta": (d) => `${d.name ?? ""}${d.arguments ?? ""}`,
  "tool.called": (d) => join(d.name, JSON.stringify(d.arguments)),
  "note.taken": (d) => join(d.name, JSON.stringify(d.value)),
  "progress.made": (d) => join(d.message, d.total && `${d.current ?? 0}/${d.total}`),
  "item.found": (d) => join(d.kind, JSON.stringify(d.item)),
  "warning.raised": (d) => d.message,
  "result.set": (d) => JSON.stringify(d.value) ?? "",
  "run.failed": (d) => join(d.code, d.message),
  "run.cancelled": (d) => join(d.code, d.message),
  "run.incomplete": (d) => join(d.code, d.message),
};
