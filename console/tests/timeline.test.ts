import { expect, test } from "vitest";
import vectors from "../../conformance/timelines.json" with { type: "json" };
import { TimelineFold } from "../src/timeline/fold";
import { Hues, hueByPlace } from "../src/timeline/hues";

const NAMES = ["m", "n", "a", "b"];

/** The hue of a writer stands for its name, and is the same in every test. */
function fold(events: (typeof vectors)[number]["events"]): TimelineFold {
  const timeline = new TimelineFold(new Hues((model) => hueByPlace(NAMES, model)));
  for (const event of events) timeline.apply(event);
  return timeline;
}

test.each(vectors)("the same events are the same timeline: $says", ({ events, shape }) => {
  const timeline = fold(events);
  const hues = new Hues((model) => hueByPlace(NAMES, model));
  for (const { type, data } of events)
    if (type === "attempt.started" && "model" in data) hues.of(String(data.model));
  expect(timeline.end).toBe(shape.end);
  expect(timeline.lastS).toBeCloseTo(shape.last_s, 6);
  expect(timeline.stretches).toHaveLength(shape.stretches.length);
  for (const [at, wanted] of shape.stretches.entries()) {
    const stretch = timeline.stretches[at];
    expect(stretch?.hue).toBe(hues.of(wanted.model));
    expect([stretch?.t0, stretch?.t1]).toEqual([
      expect.closeTo(wanted.t0, 6),
      expect.closeTo(wanted.t1, 6),
    ]);
    expect(stretch?.buckets).toEqual(wanted.buckets.map((tokens) => expect.closeTo(tokens, 5)));
  }
  const waits = ("waits" in shape && shape.waits) || [];
  expect(timeline.waits).toEqual(
    waits.map(({ t0, t1 }) => ({ t0: expect.closeTo(t0, 6), t1: expect.closeTo(t1, 6) })),
  );
  expect(timeline.seams.map(({ step: _, attempt: __, ...seam }) => seam)).toEqual(
    shape.seams.map((seam) => ({
      ...seam,
      t0: expect.closeTo(seam.t0, 6),
      t1: expect.closeTo(seam.t1, 6),
    })),
  );
});

test("models keep the hue of their place, and two in one run never share one while there is another", () => {
  const models = ["one", "two", "three", "four", "five", "six", "seven"];
  const base = (model: string) => hueByPlace(["offline", ...models], model);
  expect(["offline", ...models, "template"].map(base).join("")).toBe("dabcefhad");
  const hues = new Hues(base);
  expect(["one", "seven", "two", "one"].map((model) => hues.of(model)).join("")).toBe("abca");
  for (const model of ["three", "four", "five"]) hues.of(model);
  expect(
    new Set(["one", "seven", "two", "three", "four", "five"].map((it) => hues.of(it))).size,
  ).toBe(6);
});
