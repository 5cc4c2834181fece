/** Steps, their attempts and their tool calls as rows over time. */

import type { StateName } from "@/styles/shapes";
import type { Hue } from "@/timeline/hues";
import type { RunModel } from "./runModel";
import type { AttemptLine, Snapshot } from "./snapshot";

export interface WaterfallRow {
  readonly key: string;
  readonly kind: "step" | "attempt" | "call";
  readonly name: string;
  readonly state: StateName;
  readonly hue: Hue;
  readonly fromS: number;
  /** The moment that is shown, while it goes on. */
  readonly toS: number;
  readonly firstS: number | null;
  readonly attempt: AttemptLine | null;
  /** Why a tool gave no answer. */
  readonly code: string | null;
}

export interface Waterfall {
  readonly rows: readonly WaterfallRow[];
  readonly spanS: number;
}

export function waterfallOf(runModel: RunModel, snapshot: Snapshot): Waterfall {
  const { fold, spans } = runModel;
  const startMs = fold.startedMs ?? 0;
  const nowS = Math.max(snapshot.nowS, runModel.timeline.lastS);
  const since = (ms: number | null | undefined) =>
    ms === null || ms === undefined ? null : (ms - startMs) / 1000;
  const rows: WaterfallRow[] = [];
  for (const step of fold.steps.values()) {
    const ended = since(spans.endedMs.get(step.name));
    const isOpen = !step.isFinished && !fold.isEnded;
    const line = snapshot.steps.find((each) => each.name === step.name);
    rows.push({
      key: `s:${step.name}`,
      kind: "step",
      name: step.name,
      state: line?.state ?? (isOpen ? "streaming" : "completed"),
      hue: "d",
      fromS: since(spans.beganMs.get(step.name)) ?? 0,
      toS: ended ?? nowS,
      firstS: null,
      attempt: null,
      code: null,
    });
    for (const attempt of snapshot.attempts.filter((each) => each.step === step.name))
      rows.push(rowOf(attempt, nowS));
    for (const call of spans.calls.filter((each) => each.step === step.name)) {
      const isLive = call.endedMs === null && !fold.isEnded;
      rows.push({
        key: `c:${step.name}:${call.index}:${call.beganMs}`,
        kind: "call",
        name: call.name,
        state: isLive ? "streaming" : call.code === null ? "completed" : "failed",
        hue: "d",
        fromS: since(call.beganMs) ?? 0,
        toS: since(call.endedMs) ?? (isLive ? nowS : (since(call.beganMs) ?? 0)),
        firstS: null,
        attempt: null,
        code: call.code,
      });
    }
  }
  return { rows, spanS: Math.max(nowS, 0.1) };
}

function rowOf(attempt: AttemptLine, nowS: number): WaterfallRow {
  return {
    key: `a:${attempt.number}`,
    kind: "attempt",
    name: attempt.model,
    state: attempt.state,
    hue: attempt.hue,
    fromS: attempt.fromS,
    toS: attempt.toS ?? nowS,
    firstS: attempt.firstS,
    attempt,
    code: attempt.code,
  };
}
