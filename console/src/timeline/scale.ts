/** From seconds and speeds to pixels. */

import type { Stretch, TimelineShape } from "./fold";

export interface Scale {
  readonly width: number;
  readonly spanS: number;
  readonly left: number;
  readonly right: number;
  x(seconds: number): number;
  seconds(x: number): number;
}

const NICE_S = [2, 4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100, 120];

/** Round spans, so that a growing timeline does not shift with every word. */
export function spanFor(shape: TimelineShape, nowS: number, etaS: number | null): number {
  if (shape.end !== null) return Math.max(shape.lastS * 1.02, 0.6);
  const wanted = Math.max(nowS * 1.16, etaS ?? 0, 2);
  const nice = NICE_S.find((span) => span >= wanted);
  return nice ?? Math.ceil(wanted / 60) * 60;
}

export function scaleOf(width: number, spanS: number, left: number, right: number): Scale {
  const inner = Math.max(1, width - left - right);
  return {
    width,
    spanS,
    left,
    right,
    x: (seconds) => left + (seconds / spanS) * inner,
    seconds: (x) => ((x - left) / inner) * spanS,
  };
}

/** The largest speed of a timeline in tokens a second, smoothed as it is drawn. */
export function fastest(shape: TimelineShape): number {
  let most = 1;
  for (const stretch of shape.stretches) most = Math.max(most, ...rates(stretch));
  return most;
}

/** Buckets as speeds, smoothed over the neighbours. */
export function rates({ buckets, bucketS }: Stretch): number[] {
  return buckets.map((own, at) => {
    const before = buckets[at - 1] ?? own;
    const after = buckets[at + 1] ?? own;
    return (before + 2 * own + after) / 4 / bucketS;
  });
}

/** Ticks of the axis: as many as there is room for. */
export function ticks(scale: Scale): number[] {
  const room = scale.width < 500 ? 60 : 100;
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600];
  const step = steps.find((each) => scale.x(each) - scale.x(0) >= room) ?? 7200;
  const count = Math.floor(scale.spanS / step + 1e-9);
  return Array.from({ length: count + 1 }, (_, at) => Number((at * step).toFixed(3)));
}
