/** The state of a run in words, the same in lists, on its own page, in a chat and in a batch. */

import { causeLabel } from "@/i18n/labels";
import type { StateName } from "@/styles/shapes";
import type { Snapshot, StepLine } from "./snapshot";
import type { Waiting } from "./waiting";

type Translate = Parameters<typeof causeLabel>[1];
type Knows = Parameters<typeof causeLabel>[2];

/** The state of a stored run; one that reached its limit of tokens is not all there. */
export function storedState(status: string, code: string | null): StateName {
  if (status === "running") return "streaming";
  return status === "completed" && code === "length" ? "incomplete" : (status as StateName);
}

/** “Failed · key refused”. */
export function endingText(state: StateName, code: string | null, t: Translate, te: Knows): string {
  const word = t(`state.${state}`);
  const isTold = code !== null && (state === "failed" || state === "incomplete");
  return isTold ? `${word} · ${causeLabel(code, t, te)}` : word;
}

/** “Rate limited, asked again in 18 s (attempt 2)”. */
export function waitText(waiting: Waiting, t: Translate, te: Knows): string {
  if (waiting.kind === "line") return t("run.line", { place: waiting.place, model: waiting.model });
  const cause = causeLabel(waiting.code, t, te);
  const { inS, time } = waiting;
  const words = inS > 0 ? t("run.retry", { cause, n: inS }) : t("run.retryNow", { cause });
  return time === null ? words : `${words}${t("run.retryTime", { time })}`;
}

/** A state with what is known of it. */
export function stateText(
  { state, waiting, error, stalledS }: Pick<Snapshot, "state" | "waiting"> & Partial<Snapshot>,
  t: Translate,
  te: Knows,
): string {
  if (waiting !== null) return waitText(waiting, t, te);
  if (state === "stalled" && stalledS) return t("run.silence", { n: Math.floor(stalledS) });
  return endingText(state, error?.code ?? null, t, te);
}

/** How a batch ended; it says how many of its runs failed. */
export function batchText(
  failed: number,
  t: Translate,
): { readonly state: StateName; readonly label: string } | null {
  return failed === 0 ? null : { state: "incomplete", label: t("run.someFailed", { n: failed }) };
}

export function stepText(step: StepLine, t: Translate, te: Knows): string | undefined {
  return step.waiting === null ? undefined : waitText(step.waiting, t, te);
}
