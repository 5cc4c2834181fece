import { expect, test } from "vitest";
import { type RunEvent, RunFold, tokensOf, weigh } from "../src/index.ts";

function fold(events: readonly Omit<RunEvent, "seq">[]): RunFold {
  const state = new RunFold();
  for (const [at, event] of events.entries()) state.apply({ ...event, seq: at + 1 });
  return state;
}

const started = { type: "run.started", at_ms: 0, data: {} };

test.each([
  ["今天推荐", 3],
  ["abcd", 1],
  ["👟", 1],
  ["", 0],
])("%s is about %i tokens, as the server counts", (text, tokens) => {
  expect(tokensOf(weigh(text))).toBe(tokens);
});

test("the speed is that of the last five seconds and falls when nothing comes", () => {
  const delta = (at_ms: number) => ({
    type: "text.delta",
    at_ms,
    data: { step: "answer", text: "今天推荐这双" },
  });
  const state = fold([started, ...[1000, 2000, 3000, 4000].map(delta)]);
  expect(state.tokensPerS()).toBeCloseTo(4);
  expect(state.tokensPerS(8500)).toBeCloseTo(0.8);
  expect(state.tokensPerS(20_000)).toBe(0);
});

test("the time left is told only where the flow says how much there is to do", () => {
  const told = (data: object) => ({ type: "progress.made", at_ms: 4000, data });
  expect(fold([started, told({ message: "…" })]).leftS).toBeNull();
  expect(fold([started, told({ message: "…", current: 2, total: 6 })]).leftS).toBe(8);
  const both = [told({ message: "a", current: 2, total: 6 }), told({ message: "b" })];
  expect(fold([started, ...both]).progress).toEqual({ message: "b", current: 2, total: 6 });
});

test("a tool call grows by fragments and is whole when the log says so", () => {
  const tool = (type: string, data: object) => ({
    type,
    at_ms: 1,
    data: { step: "answer", ...data },
  });
  const begun = [
    started,
    tool("tool.delta", { index: 0, id: "c1", name: "find", arguments: '{"q":' }),
    tool("tool.delta", { index: 0, arguments: '"鞋"' }),
  ];
  const call = (state: RunFold) => state.steps.get("answer")?.toolCalls[0];
  expect(call(fold(begun))).toMatchObject({ name: "find", arguments: '{"q":"鞋"', isWhole: false });
  const whole = tool("tool.called", { index: 0, id: "c1", name: "find", arguments: { q: "鞋" } });
  expect(call(fold([...begun, whole]))).toMatchObject({ arguments: '{"q":"鞋"}', isWhole: true });
});

test("what a run waits for is known until something else happens", () => {
  const attempt = (type: string, data: object) => ({
    type,
    at_ms: 1,
    data: { step: "a", ...data },
  });
  const queued = attempt("attempt.queued", { model: "local", place: 3 });
  expect(fold([started, queued]).waiting).toMatchObject({ model: "local", place: 3 });
  const asked = attempt("attempt.started", { number: 1, model: "local", strategy: "first" });
  expect(fold([started, queued, asked]).waiting).toBeNull();
  const silent = attempt("attempt.silent", { number: 1, for_s: 30, alive: false });
  const state = fold([started, asked, silent]);
  expect(state.waiting).toMatchObject({ for_s: 30 });
  expect(state.attempts[0]).toMatchObject({ status: "running" });
});

test("a run waits while a question is open", () => {
  const asked = (step: string, more = {}) => ({
    type: "question.asked",
    at_ms: 5,
    data: { step, text: "?", until_ms: 9000, ...more },
  });
  const answered = (step: string, outcome: string) => ({
    type: "question.answered",
    at_ms: 9,
    data: { step, outcome },
  });
  const call = { id: "a", name: "find", arguments: {} };
  const two = [started, asked("q"), asked("a/call-0", { call })];
  expect(fold(two)).toMatchObject({ status: "waiting" });
  expect(fold(two).openQuestions).toMatchObject([
    { step: "q", untilMs: 9000, call: null },
    { call },
  ]);
  const one = [...two, answered("q", "declined")];
  expect(fold(one)).toMatchObject({ status: "waiting" });
  const none = fold([...one, answered("a/call-0", "answered")]);
  expect(none).toMatchObject({ status: "running", openQuestions: [] });
  expect(none.questions.get("q")?.answer).toMatchObject({ outcome: "declined" });
});

test("what is not known is passed over", () => {
  const state = fold([started, { type: "moon.risen", at_ms: 5, data: {} }]);
  expect(state).toMatchObject({ seq: 2, status: "running" });
});
