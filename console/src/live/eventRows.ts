/** The log as rows: one per event, or one per group of neighbours of the same kind. */

import type { RunEvent } from "unspool-client";

export interface EventRow {
  readonly first: number;
  last: number;
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
    this.single.push({ first: seq, last: seq, type, t, text, event });
    const before = this.folded.at(-1);
    const joins =
      before !== undefined &&
      DELTAS.has(type) &&
      before.type === type &&
      before.event.data.step === event.data.step;
    if (!joins) {
      this.folded.push({ first: seq, last: seq, type, t, text, event });
      return;
    }
    before.last = seq;
    before.t = t;
    if (before.text.length < MAX_CHARS) before.text += text;
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
