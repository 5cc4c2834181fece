/** The client against `unspool serve` itself: cut, killed and started again. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { followRun, openRun, type RunEvent } from "../src/index.ts";

const PROGRAM = process.env.UNSPOOL_BIN ?? join(import.meta.dirname, "../../../.venv/bin/unspool");
const IS_THERE = existsSync(PROGRAM);
if (!IS_THERE) process.stderr.write(`live tests are SKIPPED: there is no ${PROGRAM}\n`);

const BODY = { flow: "copywriting", input: { sku: "8WZ01CM1", style: "natural" } };

describe.skipIf(!IS_THERE)("a real server", () => {
  const dir = mkdtempSync(join(tmpdir(), "unspool-client-"));
  let server: ChildProcess;
  let url: string;

  async function start(port: number): Promise<string> {
    const argv = ["serve", "--port", `${port}`, "--data-dir", join(dir, "data"), "--json"];
    const env = Object.entries(process.env).filter(
      ([name]) => !/^(LLM|UNSPOOL|OPENAI)_/.test(name),
    );
    server = spawn(PROGRAM, argv, {
      cwd: dir,
      env: { ...Object.fromEntries(env), UNSPOOL_SAY_CHARS_PER_S: "400" },
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [line] = await once(
      createInterface({ input: server.stdout as NodeJS.ReadableStream }),
      "line",
    );
    return JSON.parse(line).url;
  }

  beforeAll(async () => {
    url = await start(0);
  }, 20_000);

  afterAll(async () => {
    const gone = once(server, "exit");
    server.kill("SIGKILL");
    await gone;
    rmSync(dir, { recursive: true });
  });

  test("every event comes in order and the text is that of the server", async () => {
    const run = openRun(`${url}/v1/runs`, {
      body: { ...BODY, input: { ...BODY.input, count: 1 } },
    });
    let last = 0;
    for await (const event of run) {
      expect(event.seq).toBe(last + 1);
      last = event.seq;
    }
    const whole = await (await fetch(`${url}/v1/runs/${run.id}`)).json();
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
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ approve: true });
    await fetch(`${url}/api/tools/1`, { method: "PATCH", headers, body });
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
        const gone = once(server, "exit");
        server.kill("SIGKILL");
        await gone;
        void start(Number(new URL(url).port));
      }
    }
    expect(events.map((event) => event.type)).toContain("run.recovered");
    expect(run.state.status).toBe("completed");
    const kept: RunEvent[] = [];
    for await (const event of followRun(`${url}/v1/runs/${run.id}`)) kept.push(event);
    expect(events).toEqual(kept);
  }, 20_000);
});
