import { expect, test } from "vitest";
import { Children } from "../src/live/children";

const found = (kind: string, item: object) => ({
  seq: 1,
  type: "item.found",
  at_ms: 0,
  data: { kind, item },
});

test("a batch's own log tells of each of its runs", () => {
  const children = new Children();
  children.apply(found("child", { number: 2, run: "b" }));
  children.apply(found("child", { number: 1, run: "a" }));
  children.apply(found("child_progress", { number: 1, run: "a", pieces: 50 }));
  const error = { code: "auth", message: "no" };
  children.apply(found("child_ended", { number: 2, run: "b", status: "failed", error, items: 0 }));
  children.apply(found("child_ended", { number: 3, run: null, status: "failed", error, items: 0 }));
  children.apply(found("event", { number: 9 }));
  expect(
    children.list.map(({ number, run, state, pieces, code }) => [number, run, state, pieces, code]),
  ).toEqual([
    [2, "b", "failed", 0, "auth"],
    [1, "a", "streaming", 50, null],
    [3, null, "failed", 0, "auth"],
  ]);
  expect(Object.fromEntries(children.counts)).toEqual({ failed: 2, streaming: 1 });
});
