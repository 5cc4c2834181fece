/** A run at one moment, in the numbers and labels that a page shows. */

import type { Attempt, Question, RunFold, Step } from "unspool-client";
import type { RunProgress } from "@/data/types";
import type { StateName } from "@/styles/shapes";
import type { Hue } from "@/timeline/hues";
import type { Finding, Problem, Trouble } from "./findings";
import type { RunModel } from "./runModel";
import { type Waiting, waitingOf } from "./waiting";

export interface StepLine {
  readonly name: string;
  readonly state: StateName;
  readonly chars: number;
  readonly hue: Hue;
  readonly findings: readonly Finding[];
  /** Rules that the text does not keep. */
  readonly problems: readonly Problem[];
  /** Wishes that its writer could not follow. */
  readonly unsteered: readonly string[];
  /** The last writer; null until the step is finished. */
  readonly writer: string | null;
  readonly trouble: Trouble | null;
  readonly waiting: Waiting | null;
}

export interface AttemptLine {
  readonly number: number;
  readonly model: string;
  readonly hue: Hue;
  readonly step: string;
  readonly strategy: string;
  readonly state: StateName;
  readonly code: string | null;
  readonly message: string | null;
  readonly tokens: number | null;
  readonly basis: string | null;
  readonly cost: Money | null;
  /** In seconds since the run began. */
  readonly fromS: number;
  readonly toS: number | null;
  readonly firstS: number | null;
  readonly reason: string | null;
}

export interface Money {
  readonly amount: number;
  readonly currency: string;
  readonly basis?: string;
}

export interface Snapshot {
  readonly state: StateName;
  readonly seq: number;
  readonly nowS: number;
  readonly firstS: number | null;
  /** Until the first token, of reasoning and tool calls too. */
  readonly firstOutputS: number | null;
  /** Why the newest step ended, in the provider's words: `stop`, `length` … */
  readonly finish: string | null;
  readonly rate: number;
  readonly tokens: number;
  /** `measured` if the provider counted them. */
  readonly tokensBasis: "measured" | "estimated";
  readonly leftS: number | null;
  readonly cost: Money | null;
  readonly stalledS: number | null;
  readonly waiting: Waiting | null;
  readonly seams: number;
  readonly recoveries: number;
  readonly steps: readonly StepLine[];
  readonly questions: readonly Question[];
  readonly attempts: readonly AttemptLine[];
  readonly legend: readonly { readonly model: string; readonly hue: Hue }[];
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly warnings: number;
  readonly viewers: number;
  /** Whether the server has no such run. */
  readonly isUnknown: boolean;
  /** Whether this page gets events as they come. */
  readonly isWatched: boolean;
}

interface Source {
  readonly runModel: RunModel;
  readonly progress?: { readonly value: RunProgress | null };
  readonly failure?: { readonly value: Error | null };
  readonly isAway?: boolean;
}

/** A stall is a silence of eight times the usual gap of this run, and at least five seconds. */
export const STALL_S = 5;
export const STALL_TIMES = 8;

export function snapshotOf(
  { runModel, progress, failure, isAway }: Source,
  nowS: number,
): Snapshot {
  const { fold, timeline, hues, recoveries } = runModel;
  const waiting = waitingOf(fold, runModel.retries, (fold.startedMs ?? 0) + nowS * 1000);
  const stalledS = isAway || waiting !== null ? null : stallOf(runModel, nowS);
  const attempts = fold.attempts.map((attempt) => lineOf(attempt, runModel));
  const counted = attempts.filter((attempt) => attempt.tokens !== null);
  const isMeasured = counted.length > 0 && counted.every((each) => each.basis === "measured");
  const sum = counted.reduce((total, each) => total + (each.tokens ?? 0), 0);
  const state = stateOf(runModel, waiting, stalledS);
  return {
    state,
    seq: fold.seq,
    nowS,
    firstS: sinceStart(runModel, fold.firstTokenMs),
    firstOutputS: sinceStart(runModel, runModel.firstOutputMs),
    finish: [...fold.steps.values()].at(-1)?.finishReason ?? null,
    rate: fold.isEnded ? meanRate(runModel) : fold.tokensPerS((fold.startedMs ?? 0) + nowS * 1000),
    tokens: fold.isEnded && counted.length > 0 ? sum : fold.tokens,
    tokensBasis: fold.isEnded && isMeasured ? "measured" : "estimated",
    leftS: fold.isEnded ? null : (progress?.value?.left_s ?? fold.leftS),
    cost: costOf(attempts),
    stalledS,
    waiting,
    seams: timeline.seams.length,
    recoveries,
    steps: stepsOf(runModel, nowS),
    questions: [...fold.questions.values()].map((question) => ({ ...question })),
    attempts,
    legend: hues.legend,
    error: (fold.error as Snapshot["error"]) ?? cutOff(fold.status, state),
    warnings: fold.warnings.length,
    viewers: progress?.value?.viewers ?? 0,
    isUnknown: (failure?.value as { serverCode?: string } | null)?.serverCode === "unknown_run",
    isWatched: !isAway,
  };
}

/** A text that reached its limit of tokens is not all there, however well its provider ended it. */
const isCut = (step: Step) => !step.isUnseen && step.finishReason === "length";

const cutOff = (status: string, state: StateName) =>
  status === "completed" && state === "incomplete" ? { code: "length", message: "" } : null;

function stateOf({ fold }: RunModel, waiting: Waiting | null, stalledS: number | null): StateName {
  if (fold.status === "running") {
    if (waiting !== null) return "queued";
    return stalledS === null ? "streaming" : "stalled";
  }
  const isWhole = fold.status !== "completed" || ![...fold.steps.values()].some(isCut);
  return isWhole ? fold.status : "incomplete";
}

function sinceStart({ fold }: RunModel, ms: number | null): number | null {
  return ms === null || fold.startedMs === null ? null : (ms - fold.startedMs) / 1000;
}

function meanRate({ fold, timeline }: RunModel): number {
  const spans = timeline.stretches.reduce((sum, { t0, t1 }) => sum + t1 - t0, 0);
  return spans > 0 ? fold.tokens / spans : 0;
}

function stallOf({ fold, timeline }: RunModel, nowS: number): number | null {
  if (fold.status !== "running") return null;
  // The server has told of the silence, for longer than this page may have watched.
  const told: number | undefined = fold.waiting?.for_s;
  if (told !== undefined) return told + nowS - timeline.lastS;
  if (timeline.lastWordS === null) return null;
  const usual = [...timeline.gaps].sort((a, b) => a - b)[timeline.gaps.length >> 1] ?? 0;
  // Other events (a retry, the next step) end a silence: the model is not stalled.
  const silence = nowS - Math.max(timeline.lastWordS, timeline.lastS);
  return silence >= Math.max(STALL_S, STALL_TIMES * usual) ? silence : null;
}

function stepsOf(runModel: RunModel, nowS: number): StepLine[] {
  const { fold, hues, findings, passages, retries } = runModel;
  const shown = [...fold.steps.values()].filter((step) => !step.isUnseen);
  const nowMs = (fold.startedMs ?? 0) + nowS * 1000;
  return shown.map((step) => {
    const waiting = step.isFinished || fold.isEnded ? null : retries.of(step.name, nowMs);
    const open = waiting === null ? "streaming" : "queued";
    return {
      name: step.name,
      state: step.isFinished ? stateOfEnded(step) : stateOfOpen(fold.status, open),
      chars: step.text.length,
      hue: step.isFinished
        ? hues.of(writerOf(step.model))
        : (passages.get(step.name)?.spans.at(-1)?.hue ?? "d"),
      findings: findings.of(step.name),
      problems: findings.problemsOf(step.name),
      unsteered: findings.unsteeredOf(step.name),
      writer: step.isFinished ? step.model : null,
      trouble: findings.troubleOf(step.name),
      waiting,
    };
  });
}

/** A step that is not finished; a run that waits may write others meanwhile. */
const stateOfOpen = (status: RunFold["status"], open: StateName): StateName =>
  status === "running" || status === "waiting" ? open : status;

const stateOfEnded = (step: Step): StateName => (isCut(step) ? "incomplete" : "completed");

function writerOf(model: string | null): string {
  return model?.endsWith("+template") ? "template" : (model ?? "template");
}

function lineOf(attempt: Attempt, { hues, fold, spans }: RunModel): AttemptLine {
  const since = (ms: number | null | undefined) =>
    ms === null || ms === undefined ? null : (ms - (fold.startedMs ?? 0)) / 1000;
  const usage = attempt.facts.usage ?? null;
  const goesOn = ["resume", "reattach", "prefill", "instruct", "restart"].includes(
    attempt.strategy,
  );
  const states = { running: "streaming", failed: "failed", finished: "completed" } as const;
  const code: string | null = attempt.status === "failed" ? attempt.facts.code : null;
  const state = code === "cancelled" ? "cancelled" : states[attempt.status];
  return {
    number: attempt.number,
    model: attempt.model,
    hue: hues.of(attempt.model),
    step: attempt.step,
    strategy: attempt.strategy,
    state: goesOn && attempt.status === "finished" ? "continued" : state,
    code,
    message: attempt.facts.message ?? null,
    tokens: usage?.completion_tokens ?? null,
    basis: usage?.basis ?? null,
    cost: attempt.facts.cost ?? null,
    fromS: since(attempt.startedMs) ?? 0,
    toS: since(attempt.endedMs),
    firstS: since(spans.firstMs.get(attempt.number)),
    reason: attempt.reason,
  };
}

function costOf(attempts: readonly AttemptLine[]): Money | null {
  const known = attempts.flatMap(({ cost }) => (cost === null ? [] : [cost]));
  const [first] = known;
  if (first === undefined || known.some(({ currency }) => currency !== first.currency)) return null;
  const isMeasured = known.every(({ basis }) => basis === "measured");
  const amount = known.reduce((sum, cost) => sum + cost.amount, 0);
  return { amount, currency: first.currency, basis: isMeasured ? "measured" : "estimated" };
}
