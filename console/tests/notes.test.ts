import { expect, test } from "vitest";
import { placesOf } from "../src/text/notes";
import { scaleOf } from "../src/timeline/scale";
import { seamGroups } from "../src/timeline/strokes";

test("a note stands beside its seam, or below the note before it", () => {
  const height = 72;
  const notes = [10, 42, 300, 300].map((top) => ({ top, height }));
  expect(placesOf(notes)).toEqual([10, 88, 300, 378]);
  expect(placesOf([])).toEqual([]);
});

test("seams that are closer than six pixels are one, with a count", () => {
  const scale = scaleOf(1000, 10, 0, 0);
  const seams = [1, 1.05, 1.1, 1.17, 5].map((t1) => ({ t0: t1 - 0.02, t1 }));
  const groups = seamGroups({ scale }, seams).map(({ t1, count }) => [t1, count]);
  expect(groups).toEqual([
    [1.1, 3],
    [1.17, 1],
    [5, 1],
  ]);
});
