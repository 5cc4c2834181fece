/** A run as the pages show it: its state, the writer of each part of its text, its timeline. */

import { type RunEvent, RunFold, type Step } from "unspool-client";
import type { Seam } from "@/timeline/fold";
import { TimelineFold } from "@/timeline/fold";
import { type Hue, Hues } from "@/timeline/hues";
import { Children } from "./children";
import { Findings } from "./findings";
import { Spans } from "./spans";
import { Retries } from "./waiting";

const OUTPUTS = new Set(["text.delta", "reasoning.delta", "tool.delta"]);

/** From `start` (in UTF-16 units) on, one writer wrote the text of a step. */
interface Span {
  readonly start: number;
  readonly model: string;
  readonly hue: Hue;
  readonly seam: Seam | null;
}

/** A text that grows at its end, and who wrote it. */
export interface Passage {
  readonly step: Step;
  spans: Span[];
  /** Goes up when text is taken back, so that it is drawn again from its start. */
  revision: number;
}

/** A text that is whole, of one writer. */
export function passageOf(text: string, hue: Hue): Passage {
  return {
    step: { text } as Step,
    spans: [{ start: 0, model: "", hue, seam: null }],
    revision: 0,
  };
}

export class RunModel {
  readonly fold = new RunFold();
  readonly hues: Hues;
  readonly timeline: TimelineFold;
  readonly passages = new Map<string, Passage>();
  readonly findings = new Findings();
  readonly children = new Children();
  readonly retries = new Retries();
  readonly spans = new Spans();
  /** When the first token came, of reasoning and tool calls too. */
  firstOutputMs: number | null = null;
  /** How often a server took the run over from one that had stopped. */
  recoveries = 0;
  input: Readonly<Record<string, unknown>> = {};
  flow = "";
  /** The requested model or route; empty for the default one. */
  model = "";
  /** The batch run that started this one. */
  parent: string | null = null;
  forkedFrom: { readonly run: string; readonly seq: number } | null = null;

  constructor(hueOf: (model: string) => Hue) {
    this.hues = new Hues(hueOf);
    this.timeline = new TimelineFold(this.hues);
  }

  apply(event: RunEvent): void {
    const seams = this.timeline.seams.length;
    const name: string | undefined = event.data.step;
    const before = name === undefined ? 0 : (this.fold.steps.get(name)?.text.length ?? 0);
    this.fold.apply(event);
    this.timeline.apply(event);
    this.findings.apply(event);
    this.children.apply(event);
    this.retries.apply(event);
    this.spans.apply(event);
    if (event.type === "run.started") {
      this.input = event.data.input ?? {};
      this.flow = event.data.flow;
      this.model = event.data.model;
      this.parent = event.data.parent ?? null;
      this.forkedFrom = event.data.forked_from ?? null;
    }
    if (OUTPUTS.has(event.type)) this.firstOutputMs ??= event.at_ms;
    if (event.type === "run.recovered") this.recoveries += 1;
    const step = name === undefined ? undefined : this.fold.steps.get(name);
    if (step === undefined) return;
    const passage = this.#passage(step);
    if (event.type === "text.delta")
      this.#span(passage, before, this.timeline.seams[seams] ?? null);
    if (event.type !== "step.rewound") return;
    passage.spans = passage.spans.filter((span) => span.start < step.text.length);
    passage.revision += 1;
  }

  #passage(step: Step): Passage {
    let passage = this.passages.get(step.name);
    if (passage === undefined) {
      passage = { step, spans: [], revision: 0 };
      this.passages.set(step.name, passage);
    }
    return passage;
  }

  #span(passage: Passage, start: number, seam: Seam | null): void {
    const model = this.timeline.writerOf(passage.step.name);
    const last = passage.spans.at(-1);
    if (last !== undefined && last.model === model && seam === null) return;
    passage.spans.push({ start, model, hue: this.hues.of(model), seam });
  }
}
