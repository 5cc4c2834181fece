/** Made-up timelines, for the pages that explain them. */

import type { Stretch, TimelineShape } from "./fold";
import type { Hue } from "./hues";

interface Part {
  readonly hue: Hue;
  readonly t0: number;
  readonly t1: number;
  readonly per_s: number;
}

/** The same every time, with speeds that vary as a model's do. */
export function sampleShape(
  parts: readonly Part[],
  rest: Partial<TimelineShape> = {},
): TimelineShape {
  let seed = 7;
  let drift = 0;
  const swing = () => {
    seed = (seed * 16807) % 2147483647;
    drift = drift * 0.72 + (seed / 2147483647 - 0.5) * 0.34;
    return 1 + drift;
  };
  const stretches: Stretch[] = parts.map(({ hue, t0, t1, per_s }) => {
    const count = Math.max(1, Math.round((t1 - t0) / 0.2));
    const buckets = Array.from({ length: count }, () => per_s * 0.2 * swing());
    return { hue, t0, t1, bucketS: 0.2, buckets };
  });
  const lastS = Math.max(0, ...parts.map((part) => part.t1));
  return { stretches, seams: [], steps: [], end: null, lastS, ...rest };
}
