/** The state of a run in words that say why nothing comes. */

import { causeLabel } from "@/i18n/labels";
import type { Snapshot, StepLine } from "./snapshot";
import type { Waiting } from "./waiting";

type Translate = Parameters<typeof causeLabel>[1];
type Knows = Parameters<typeof causeLabel>[2];

/** “Rate limited, asked again in 18 s (attempt 2)”. */
export function waitText(waiting: Waiting, t: Translate, te: Knows): string {
  if (waiting.kind === "line") return t("run.line", { place: waiting.place, model: waiting.model });
  const cause = causeLabel(waiting.code, t, te);
  const key = waiting.inS > 0 ? "run.retry" : "run.retryNow";
  return t(key, { cause, n: waiting.inS, time: waiting.time });
}

/** The label of a state where it says more than the state's own word. */
export function stateText(
  { state, waiting, error, stalledS }: Pick<Snapshot, "state" | "waiting"> & Partial<Snapshot>,
  t: Translate,
  te: Knows,
): string | undefined {
  if (waiting !== null) return waitText(waiting, t, te);
  if (state === "stalled" && stalledS) return t("run.silence", { n: Math.floor(stalledS) });
  if (state === "incomplete" && error)
    return `${t("state.incomplete")} · ${causeLabel(error.code, t, te)}`;
  return undefined;
}

export function stepText(step: StepLine, t: Translate, te: Knows): string | undefined {
  return step.waiting === null ? undefined : waitText(step.waiting, t, te);
}
