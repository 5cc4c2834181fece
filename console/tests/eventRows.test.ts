import type { RunEvent } from "unspool-client";
import { expect, test } from "vitest";
import { EventRows } from "../src/live/eventRows";

function log(...drafts: [string, object][]): RunEvent[] {
  return drafts.map(([type, data], at) => ({ seq: at + 1, type, at_ms: 1000 + 100 * at, data }));
}

const delta = (step: string, text: string): [string, object] => ["text.delta", { step, text }];
const EVENTS = log(
  ["run.started", { flow: "chat" }],
  delta("a", "今"),
  delta("a", "天"),
  delta("b", "x"),
  ["attempt.failed", { step: "b", code: "truncated", message: "cut" }],
  delta("b", "y\n"),
  ["moon.risen", { high: 3 }],
);

test("neighbours of one kind and step are one row, told as they came or all at once", () => {
  const all = new EventRows();
  all.extend(EVENTS);
  const bit = new EventRows();
  for (let at = 0; at <= EVENTS.length; at += 1) bit.extend(EVENTS.slice(0, at));
  expect(bit).toEqual(all);
  expect(all.folded.map(({ first, last, text }) => [first, last, text])).toEqual([
    [1, 1, "chat"],
    [2, 3, "今天"],
    [4, 4, "x"],
    [5, 5, "truncated · cut"],
    [6, 6, "y⏎"],
    [7, 7, '{"high":3}'],
  ]);
  expect(all.single).toHaveLength(EVENTS.length);
});

test("a step that writes while others do is one row until something else happens to it", () => {
  const rows = new EventRows();
  rows.extend(
    log(
      ["run.started", { flow: "chat" }],
      delta("a", "今"),
      delta("b", "x"),
      ["step.started", { step: "c" }],
      delta("a", "天"),
      delta("b", "y"),
      ["step.finished", { step: "a", chars: 1 }],
      delta("a", "又"),
    ),
  );
  expect(rows.folded.map(({ first, last, count, text }) => [first, last, count, text])).toEqual([
    [1, 1, 1, "chat"],
    [2, 5, 2, "今天"],
    [3, 6, 2, "xy"],
    [4, 4, 1, "c"],
    [7, 7, 1, "a · 1 chars"],
    [8, 8, 1, "又"],
  ]);
  expect(rows.places).toEqual([0, 1, 2, 3, 1, 2, 4, 5]);
});
