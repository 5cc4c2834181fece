/** The client against `unspool serve` itself: cut, killed and started again. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { followRun, openRun, type RunEvent } from "../src/index.ts";
import { IS_THERE, Program } from "./serving.ts";

const BODY = { flow: "copywriting", input: { sku: "8WZ01CM1", style: "natural" } };

describe.skipIf(!IS_THERE)("a real server", () => {
  const server = new Program();
  let url: string;

  beforeAll(async () => {
    await server.start();
    url = server.url;
  }, 20_000);

  afterAll(() => server.close());

  test("every event comes in order and the text is that of the server", async () => {
    const run = openRun(`${url}/v1/runs`, {
      body: { ...BODY, input: { ...BODY.input, count: 1 } },
    });
    let last = 0;
    for await (const event of run) {
      expect(event.seq).toBe(last + 1);
      last = event.seq;
    }
    const whole = await server.run(run.id);
    expect(run.state).toMatchObject({ status: "completed", text: whole.text, seq: whole.last_seq });
  });

  test("a seed's own address gives the same events", async () => {
    const run = openRun(`${url}/ai/generate/copy`, { body: { sku: "8WZ01CM1", count: 1 } });
    const types = new Set<string>();
    for await (const event of run) types.add(event.type);
    expect(types).toContain("text.delta");
    expect(types).toContain("run.completed");
  });

  test("a run that waits is answered, and declined, once", async () => {
    await server.ask("/api/tools/1", { approve: true }, "PATCH");
    const input = { prompt: "北京和上海的天气？", tool_ids: [1] };
    const run = openRun(`${url}/v1/runs`, { body: { flow: "chat", input } });
    for await (const event of run) {
      if (event.type !== "question.asked") continue;
      expect(run.state.status).toBe("waiting");
      const { step } = event.data;
      if (step.endsWith("0")) await run.answer(undefined, step);
      else await run.decline("too far", step);
      await expect(run.answer(undefined, step)).rejects.toMatchObject({
        serverCode: "not_waiting",
      });
    }
    const outcomes = [...run.state.questions.values()].map(({ answer }) => answer?.outcome);
    expect(outcomes).toEqual(["answered", "declined"]);
    expect(run.state).toMatchObject({ status: "completed", openQuestions: [] });
  });

  test("cancelled in the middle, it ends as cancelled with what was written", async () => {
    const run = openRun(`${url}/v1/runs`, { body: BODY });
    let words = 0;
    for await (const event of run) {
      if (event.type === "text.delta") words += 1;
      if (event.type === "text.delta" && words === 3) await run.cancel();
    }
    expect(run.state.status).toBe("cancelled");
    expect(run.state.text).not.toBe("");
  });

  test("its server killed and started again, it goes on and misses nothing", async () => {
    const run = openRun(`${url}/v1/runs`, { body: BODY, random: () => 0.1 });
    const events: RunEvent[] = [];
    let words = 0;
    for await (const event of run) {
      events.push(event);
      if (event.type === "text.delta") words += 1;
      if (words === 20 && event.type === "text.delta") {
        await server.kill();
        void server.start();
      }
    }
    expect(events.map((event) => event.type)).toContain("run.recovered");
    expect(run.state.status).toBe("completed");
    const kept: RunEvent[] = [];
    for await (const event of followRun(`${url}/v1/runs/${run.id}`)) kept.push(event);
    expect(events).toEqual(kept);
  }, 20_000);
});
