import type { Drawing } from "@/timeline/drawing";
import type { TimelineShape } from "@/timeline/fold";
import type { RunView } from "./runView";

/** The timeline of a run that is being watched; null before its first event. */
export function drawingOf(view: RunView | null): Drawing | null {
  if (view === null || view.runModel.fold.seq === 0) return null;
  const isWaiting = view.snapshot.value.waiting !== null;
  return { shape: shapeOf(view), nowS: view.nowS, etaS: etaOf(view), isWaiting };
}

/** A text that its limit cut ends frayed, however well its provider ended it. */
export function shapeOf({ runModel: { timeline }, snapshot }: RunView): TimelineShape {
  const isCut = snapshot.value.state === "incomplete" && timeline.end === "completed";
  return isCut ? { ...timeline, end: "incomplete" } : timeline;
}

/** When the run is expected to end, in seconds since it began; null if that is unknown. */
export function etaOf(view: RunView): number | null {
  const { leftS, nowS } = view.snapshot.value;
  return view.runModel.timeline.end !== null || leftS === null ? null : nowS + leftS;
}
