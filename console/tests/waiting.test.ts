import type { RunEvent } from "unspool-client";
import { expect, test } from "vitest";
import { RunModel } from "../src/live/runModel";
import { snapshotOf } from "../src/live/snapshot";
import { waterfallOf } from "../src/live/waterfall";

const START_MS = 1_700_000_000_000;

/** A run after these events, each with its second. */
function modelOf(...told: [number, string, object][]): RunModel {
  const model = new RunModel(() => "a");
  const begun: [number, string, object] = [0, "run.started", { flow: "chat", input: {} }];
  for (const [at, [s, type, data]] of [begun, ...told].entries())
    model.apply({ seq: at + 1, type, at_ms: START_MS + 1000 * s, data } as RunEvent);
  return model;
}

const step = "answer";
const asked = (number: number): [number, string, object] => [
  number,
  "attempt.started",
  { step, number, model: "m", strategy: "first" },
];
const limited: [number, string, object] = [
  2,
  "attempt.failed",
  { step, number: 1, code: "rate_limit", message: "429: slow", retry_in_s: 20 },
];
const word = (s: number): [number, string, object] => [s, "text.delta", { step, text: "字" }];

test("a wait for a rate limit says so, with its seconds and which attempt it will be", () => {
  const runModel = modelOf([0, "step.started", { step }], asked(1), limited);
  const snapshot = snapshotOf({ runModel }, 4);
  expect(snapshot.state).toBe("queued");
  expect(snapshot.waiting).toEqual({ kind: "retry", code: "rate_limit", inS: 18, time: 2 });
  expect(snapshot.stalledS).toBeNull();
  expect(snapshot.steps[0]?.waiting).toEqual(snapshot.waiting);
  const again = modelOf([0, "step.started", { step }], asked(1), limited, asked(2));
  expect(snapshotOf({ runModel: again }, 4).waiting).toBeNull();
});

test("only a silence that this page has watched is a stall", () => {
  const runModel = modelOf([0, "step.started", { step }], asked(1), word(2));
  expect(snapshotOf({ runModel }, 20).state).toBe("stalled");
  expect(snapshotOf({ runModel, isAway: true }, 20).state).toBe("streaming");
});

test("a silence that the server tells of goes on until the next word", () => {
  const silent: [number, string, object] = [31, "attempt.silent", { step, number: 1, for_s: 30 }];
  const runModel = modelOf([0, "step.started", { step }], asked(1), silent);
  const snapshot = snapshotOf({ runModel }, 33);
  expect([snapshot.state, snapshot.stalledS]).toEqual(["stalled", 32]);
});

test("a text that its limit of tokens cut off is not complete", () => {
  const cut: [number, string, object] = [3, "step.finished", { step, finish_reason: "length" }];
  const runModel = modelOf([0, "step.started", { step }], word(2), cut, [3, "run.completed", {}]);
  const { state, error, steps } = snapshotOf({ runModel }, 3);
  expect([state, error?.code, steps[0]?.state]).toEqual(["incomplete", "length", "incomplete"]);
});

test("a legend names nobody who wrote nothing", () => {
  const runModel = modelOf([0, "step.started", { step }]);
  expect(snapshotOf({ runModel }, 1).legend).toEqual([]);
});

test("steps, attempts and calls are rows over time", () => {
  const call = { step, index: 0, id: "c", name: "look" };
  const runModel = modelOf(
    [0, "step.started", { step }],
    asked(1),
    [2, "tool.delta", { ...call, arguments: "{" }],
    [3, "tool.called", { ...call, arguments: {} }],
    [4, "attempt.finished", { step, number: 1, finish_reason: "tool" }],
    [6, "tool.answered", { ...call, content: "x" }],
  );
  const { rows, spanS } = waterfallOf(runModel, snapshotOf({ runModel }, 8));
  expect(rows.map((row) => [row.kind, row.name, row.fromS, row.toS, row.firstS])).toEqual([
    ["step", step, 0, 8, null],
    ["attempt", "m", 1, 4, 2],
    ["call", "look", 2, 6, null],
  ]);
  expect(spanS).toBe(8);
});
