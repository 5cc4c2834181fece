/**
 * A run after some prefix of its events: a fold, as `src/unspool/runs.py` and `progress.py`.
 *
 * It is fed every event once, in order, and only grows. Time is the log's own, so every viewer
 * of one log sees the same speed.
 */

import { type Ending, endingOf, type RunEvent } from "./events.ts";
import { tokensOf, weigh } from "./tokens.ts";

export interface ToolCall {
  readonly index: number;
  id: string;
  name: string;
  /** JSON text, as much of it as has arrived. */
  arguments: string;
  isWhole: boolean;
  /** The tool's answer as the model gets it; `code` says why there is none. */
  answer: { readonly content: string; readonly code: string | null } | null;
}

export interface Step {
  readonly name: string;
  text: string;
  reasoning: string;
  toolCalls: ToolCall[];
  isFinished: boolean;
  /** Only the flow reads it; it is not part of the run's text. */
  isUnseen: boolean;
  finishReason: string | null;
  /** The last writer; `template` for fixed text, `m+template` if a template finished what `m` began. */
  model: string | null;
}

/** A question to people; `answer` is null while it is open. */
export interface Question {
  readonly step: string;
  readonly text: string;
  /** When it expires, in Unix milliseconds. */
  readonly untilMs: number;
  /** JSON Schema of the answer, an object; null: a text. */
  readonly schema: RunEvent["data"] | null;
  /** The tool call that waits for approval: `id`, `name`, `arguments`; null: it is no such question. */
  readonly call: RunEvent["data"] | null;
  answer: RunEvent["data"] | null;
}

export interface Attempt {
  readonly step: string;
  readonly number: number;
  readonly model: string;
  readonly strategy: string;
  readonly reason: string | null;
  readonly startedMs: number;
  status: "running" | "finished" | "failed";
  endedMs: number | null;
  /** The data of `attempt.finished` or `attempt.failed`. */
  facts: RunEvent["data"];
}

/** What "now" means for a speed: long enough for a steady number, short enough to show a stall. */
const WINDOW_MS = 5000;

/** Outputs in memory before those older than the window are dropped. */
const ENOUGH = 1024;

export class RunFold {
  seq = 0;
  status: "queued" | "running" | "waiting" | Ending = "queued";
  readonly steps = new Map<string, Step>();
  readonly attempts: Attempt[] = [];
  readonly notes: Record<string, unknown> = {};
  /** What people are asked, by step. */
  readonly questions = new Map<string, Question>();
  items: RunEvent["data"][] = [];
  readonly warnings: string[] = [];
  result: unknown = null;
  /** `code` and `message` of an ending other than `completed`. */
  error: RunEvent["data"] | null = null;
  startedMs: number | null = null;
  firstTokenMs: number | null = null;
  endedMs: number | null = null;
  /** The newest progress message, with current and total if the flow gives them. */
  progress: { message: string; current: number | null; total: number | null } | null = null;
  /** The data of `attempt.queued` or `attempt.silent`, until something else happens. */
  waiting: RunEvent["data"] | null = null;

  #lastMs = 0;
  #written = 0;
  #firstOutputMs: number | null = null;
  #recent: { at: number; size: number }[] = [];
  #enough = ENOUGH;

  /** Apply the next event. The reader makes sure that it is `seq + 1`. */
  apply(event: RunEvent): void {
    this.seq = event.seq;
    this.#lastMs = Math.max(this.#lastMs, event.at_ms);
    const noun = event.type.slice(0, event.type.indexOf("."));
    this.waiting = null;
    if (noun === "run") this.#run(event);
    else if (noun === "attempt") this.#attempt(event);
    else if (noun === "note") this.notes[event.data.name] = event.data.value;
    else if (["step", "text", "reasoning", "tool"].includes(noun)) this.#step(event);
    else if (noun === "question") this.#question(event);
    else this.#rest(event);
  }

  /** All text of all steps that are shown, in the order in which the steps began. */
  get text(): string {
    const shown = [...this.steps.values()].filter((step) => !step.isUnseen);
    return shown.map((step) => step.text).join("");
  }

  /** Questions that wait for an answer, oldest first. */
  get openQuestions(): Question[] {
    return [...this.questions.values()].filter((question) => question.answer === null);
  }

  get isEnded(): boolean {
    return this.endedMs !== null;
  }

  /** Written so far, estimated: answers, reasoning and tool arguments, also what was taken back. */
  get tokens(): number {
    return tokensOf(this.#written);
  }

  /** Over the last five seconds before `nowMs` (the log's own last moment where none is given). */
  tokensPerS(nowMs = this.#lastMs): number {
    if (this.#firstOutputMs === null) return 0;
    const now = Math.max(nowMs, this.#lastMs);
    const span = Math.min(now - this.#firstOutputMs, WINDOW_MS);
    const recent = this.#recent.filter((output) => output.at > now - WINDOW_MS);
    const size = recent.reduce((sum, output) => sum + output.size, 0);
    return span > 0 ? size / 12 / (span / 1000) : 0;
  }

  /** An estimate from the flow's own progress; `null` if it reports none. */
  get leftS(): number | null {
    const { current, total } = this.progress ?? {};
    if (!current || !total || this.startedMs === null) return null;
    return (((this.#lastMs - this.startedMs) / 1000) * Math.max(0, total - current)) / current;
  }

  #run(event: RunEvent): void {
    if (event.type === "run.started") {
      this.status = "running";
      this.startedMs = event.at_ms;
    }
    const ending = endingOf(event);
    if (ending === null) return;
    this.status = ending;
    this.endedMs = event.at_ms;
    if (Object.keys(event.data).length > 0) this.error = event.data;
    // Their own endings are lost where the journal could not be written.
    for (const attempt of this.attempts.filter((each) => each.status === "running")) {
      attempt.status = "failed";
      attempt.endedMs = event.at_ms;
      attempt.facts = { code: "interrupted", ...event.data };
    }
  }

  #attempt({ type, at_ms, data }: RunEvent): void {
    if (type === "attempt.started") {
      const { step, number, model, strategy, reason = null } = data;
      const facts = { status: "running" as const, endedMs: null, facts: {} };
      this.attempts.push({ step, number, model, strategy, reason, startedMs: at_ms, ...facts });
      return;
    }
    if (type === "attempt.queued" || type === "attempt.silent") this.waiting = data;
    const attempt = this.attempts.findLast((each) => each.number === data.number);
    const isFinished = type === "attempt.finished";
    if (attempt === undefined || !(isFinished || type === "attempt.failed")) return;
    attempt.status = isFinished ? "finished" : "failed";
    attempt.endedMs = at_ms;
    attempt.facts = data;
  }

  #step({ type, at_ms, data }: RunEvent): void {
    const step = this.#stepOf(data.step);
    if (type === "text.delta") {
      step.text += data.text;
      if (!step.isUnseen) this.firstTokenMs ??= at_ms;
      this.#output(data.text);
    } else if (type === "reasoning.delta") {
      step.reasoning += data.text;
      this.#output(data.text);
    } else if (type === "tool.delta") {
      this.#call(step, data.index, data).arguments += data.arguments ?? "";
      this.#output(data.arguments ?? "");
    } else if (type === "tool.called") {
      const call = this.#call(step, data.index, data);
      call.arguments = JSON.stringify(data.arguments);
      call.isWhole = true;
    } else if (type === "tool.answered") {
      const { content = "", code = null } = data;
      this.#call(step, data.index, data).answer = { content, code };
    } else if (type === "step.rewound") {
      // Characters are code points, and only what stands behind `at` is taken back.
      step.text = !data.at ? "" : [...step.text].slice(0, data.at).join("");
      if (!data.at) step.toolCalls = [];
      if (!data.at) this.items = this.items.filter((item) => item.step !== step.name);
    } else if (type === "step.started") {
      step.isUnseen = Boolean(data.unseen);
    } else if (type === "step.finished") {
      step.isFinished = true;
      step.finishReason = data.finish_reason ?? null;
      step.model = data.model ?? null;
    }
  }

  #stepOf(name: string): Step {
    let step = this.steps.get(name);
    if (step === undefined) {
      const open = { isFinished: false, isUnseen: false, finishReason: null, model: null };
      step = { name, text: "", reasoning: "", toolCalls: [], ...open };
      this.steps.set(name, step);
    }
    return step;
  }

  #call(step: Step, index: number, data: RunEvent["data"]): ToolCall {
    let call = step.toolCalls.find((each) => each.index === index);
    if (call === undefined) {
      call = { index, id: "", name: "", arguments: "", isWhole: false, answer: null };
      step.toolCalls.push(call);
    }
    call.id ||= data.id ?? "";
    call.name ||= data.name ?? "";
    return call;
  }

  #question({ type, data }: RunEvent): void {
    const { step, text, until_ms: untilMs, schema = null, call = null } = data;
    const asked = this.questions.get(step);
    if (type === "question.asked")
      this.questions.set(step, { step, text, untilMs, schema, call, answer: null });
    else if (asked !== undefined) asked.answer = data;
    this.status = this.openQuestions.length > 0 ? "waiting" : "running";
  }

  #rest({ type, data }: RunEvent): void {
    if (type === "item.found") this.items.push(data);
    else if (type === "warning.raised") this.warnings.push(data.message);
    else if (type === "result.set") this.result = data.value;
    else if (type === "progress.made") {
      const { current, total } = this.progress ?? {};
      this.progress = {
        message: data.message ?? "",
        // A message without numbers leaves the earlier numbers as they are.
        current: data.current ?? current ?? null,
        total: data.total ?? total ?? null,
      };
    }
  }

  #output(text: string): void {
    const size = weigh(text);
    this.#written += size;
    if (this.#firstOutputMs === null) {
      // How long the first output took to write is unknown: it opens what is measured.
      this.#firstOutputMs = this.#lastMs;
      return;
    }
    if (this.#lastMs <= this.#firstOutputMs) return;
    this.#recent.push({ at: this.#lastMs, size });
    if (this.#recent.length < this.#enough) return;
    // Less often as the list grows, so that folding a whole log stays linear.
    const edge = this.#lastMs - WINDOW_MS;
    this.#recent = this.#recent.filter((output) => output.at > edge);
    this.#enough = Math.max(ENOUGH, 2 * this.#recent.length);
  }
}
