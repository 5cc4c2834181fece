import type { RunView } from "./runView";

/** When the run is expected to end, in seconds since it began; null where nobody knows. */
export function etaOf(view: RunView): number | null {
  const { leftS, nowS } = view.snapshot.value;
  return view.runModel.timeline.end !== null || leftS === null ? null : nowS + leftS;
}
