import { expect, test } from "vitest";
import runs from "../../../conformance/runs.json" with { type: "json" };
import sse from "../../../conformance/sse.json" with { type: "json" };
import { RunFold, SseDecoder } from "../src/index.ts";

test.each(sse)("the same text is the same frames wherever it is cut: $says", (vector) => {
  for (let cut = 0; cut <= vector.bytes.length; cut += 1) {
    const decoder = new SseDecoder();
    const pieces = [vector.bytes.slice(0, cut), vector.bytes.slice(cut)];
    const frames = [...pieces.flatMap((piece) => decoder.feed(piece)), ...decoder.flush()];
    expect(frames, `cut at ${cut}`).toEqual(vector.frames);
  }
});

test.each(runs)("the same events are the same state: $says", (vector) => {
  const fold = new RunFold();
  for (const event of vector.events) fold.apply(event);
  const steps = [...fold.steps.values()].map((s) => [s.name, [s.text, s.isFinished, s.model]]);
  expect({
    seq: fold.seq,
    status: fold.status,
    text: fold.text,
    steps: Object.fromEntries(steps),
    attempts: fold.attempts.map((a) => [a.number, a.model, a.status]),
    notes: fold.notes,
    items: fold.items,
    warnings: fold.warnings,
    result: fold.result,
    error: fold.error,
    first_token_ms: fold.firstTokenMs,
    ended_ms: fold.endedMs,
  }).toEqual(vector.state);
});
