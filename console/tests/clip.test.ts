import { expect, test } from "vitest";
import { clipTo } from "../src/timeline/clip";
import type { TimelineShape } from "../src/timeline/fold";

const hue = "a" as never;
const stretch = (t0: number, t1: number) => ({ hue, t0, t1, bucketS: 0.2, buckets: [1] });
const step = (name: string, t0: number, t1: number | null) => ({ name, t0, t1, isRewound: false });

const shape: TimelineShape = {
  stretches: [stretch(1, 3), stretch(5, 8), stretch(9, 10)],
  seams: [{ t0: 6, t1: 6.5, seq: 7 }],
  steps: [step("rewrite", 0.5, 4), step("storyboard", 4.5, 8.5), step("camera", 8.5, null)],
  end: null,
  lastS: 10,
};

test("a step has its own stretches and seams, from its own beginning", () => {
  const clipped = clipTo(shape, "storyboard");
  expect(clipped?.stretches.map(({ t0, t1 }) => [t0, t1])).toEqual([[0.5, 3.5]]);
  expect(clipped?.seams).toEqual([{ t0: 1.5, t1: 2, seq: 7 }]);
  expect([clipped?.lastS, clipped?.end]).toEqual([4, "completed"]);
});

test("the step that is written now goes on, and one that has not begun has no timeline", () => {
  expect(clipTo(shape, "camera")).toMatchObject({ lastS: 1.5, end: null });
  expect(clipTo(shape, "narration")).toBeNull();
});

test("the last step ends as its run does", () => {
  const ended = { ...shape, steps: [step("camera", 8.5, 10)], end: "failed" as never };
  expect(clipTo(ended, "camera")?.end).toBe("failed");
});
