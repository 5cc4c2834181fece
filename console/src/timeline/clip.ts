/** The part of a timeline that belongs to one step, from its own beginning on. */

import type { TimelineShape } from "./fold";

/** The step as a timeline of its own; null before it begins. Steps must not overlap. */
export function clipTo(shape: TimelineShape, name: string): TimelineShape | null {
  const step = shape.steps.findLast((each) => each.name === name);
  if (step === undefined) return null;
  const { t0 } = step;
  const t1 = step.t1 ?? Number.POSITIVE_INFINITY;
  const isIn = (part: { t0: number }) => part.t0 >= t0 && part.t0 <= t1;
  const isLast = step === shape.steps.at(-1);
  return {
    stretches: shape.stretches
      .filter(isIn)
      .map((part) => ({ ...part, t0: part.t0 - t0, t1: part.t1 - t0 })),
    seams: shape.seams
      .filter(isIn)
      .map((seam) => ({ ...seam, t0: seam.t0 - t0, t1: seam.t1 - t0 })),
    steps: [],
    end: isLast ? shape.end : step.t1 === null ? null : "completed",
    lastS: Math.min(shape.lastS, t1) - t0,
  };
}
