/** The state of a run in a list: a pause that the server made is no silence of the model. */

import { STALL_S, STALL_TIMES } from "@/live/snapshot";
import { storedState } from "@/live/stateWords";
import type { Waiting } from "@/live/waiting";
import type { StateName } from "@/styles/shapes";
import type { RunRowJson } from "./runs";
import type { TimelineJson, WaitJson } from "./timelines";

export interface RowState {
  readonly state: StateName;
  readonly wait: WaitJson | null;
  /** Seconds until the next request is due. */
  readonly waitS: number | null;
  readonly stalledS: number | null;
}

/** Whether a run goes on, if only when somebody answers. */
export const isUnended = (status: string) => status === "running" || status === "waiting";

export function rowState(
  run: RunRowJson,
  timeline: TimelineJson | undefined,
  nowS: number,
): RowState {
  const plain = { wait: null, waitS: null, stalledS: null };
  if (isAsking(run, timeline)) return { state: "waiting", ...plain };
  if (run.status !== "running") return { state: storedState(run.status, run.code), ...plain };
  const wait = timeline?.waits.find((each) => each.t1 === null) ?? null;
  if (wait !== null) {
    const waitS = wait.until === null ? null : Math.max(0, Math.ceil(wait.until - nowS));
    return { state: "queued", wait, waitS, stalledS: null };
  }
  // A parent does not write: its children do.
  if (timeline === undefined || run.children !== null) return { state: "streaming", ...plain };
  const silence = nowS - timeline.last_s;
  if (silence < Math.max(STALL_S, STALL_TIMES * usualGapS(timeline)))
    return { state: "streaming", ...plain };
  return { state: "stalled", ...plain, stalledS: Math.floor(silence) };
}

/** Whether it waits for a person; its timeline may be newer than its row. */
const isAsking = (run: RunRowJson, timeline: TimelineJson | undefined) =>
  run.status === "waiting" ||
  (run.status === "running" &&
    timeline?.waits.some(({ t1, cause }) => t1 === null && cause === "question") === true);

/** Seconds between two words; the list has no events, so a token stands for a word. */
function usualGapS({ stretches, tokens }: TimelineJson): number {
  const spoken = stretches.reduce((sum, { t0, t1 }) => sum + t1 - t0, 0);
  return tokens > 0 ? spoken / tokens : 0;
}

export function waitingOf({ cause, place, model }: WaitJson, waitS: number | null): Waiting {
  if (cause === "queued") return { kind: "line", place: place ?? 1, model };
  return { kind: "retry", code: cause, inS: waitS ?? 0, time: null };
}

/** How far the children of a run are, as shares of all. */
export interface BatchState {
  /** Null: the batch has not said it yet. */
  readonly total: number | null;
  readonly completed: number;
  readonly failed: number;
  readonly live: number;
}

/** Null: the run has no children. */
export function batchOf(run: RunRowJson, timeline: TimelineJson | undefined): BatchState | null {
  if (run.children === null) return null;
  const { completed = 0, running: writing = 0, waiting = 0, ...other } = run.children;
  const running = writing + waiting;
  const failed = Object.values(other).reduce((sum, count) => sum + count, 0);
  const known = completed + running + failed;
  const told = timeline?.progress?.total ?? null;
  return {
    total: told === null && run.status === "running" ? null : Math.max(known, told ?? 0),
    completed,
    failed,
    live: running,
  };
}
