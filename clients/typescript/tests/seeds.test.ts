/** The seeds' browser functions, used as the seeds print it. */

import { afterEach, expect, test } from "vitest";
import {
  createStageStreamClient,
  extractEventsForUserStream,
  SSEClient,
} from "../src/seeds/index.ts";
import { type Answer, begin, type Served, serve } from "./upstream.ts";

let served: Served | undefined;
afterEach(async () => {
  await served?.close();
});

async function telling(frames: readonly object[], cutAfter = 99): Promise<string> {
  const answer: Answer = (response, { lastId, number }) => {
    begin(response);
    const last = number === 1 ? cutAfter : frames.length;
    for (const [at, frame] of [...frames.entries()].slice(lastId, last)) {
      response.write(`id: ${at + 1}\ndata: ${JSON.stringify(frame)}\n\n`);
    }
    if (last < frames.length) response.write(": ping\n", () => response.destroy());
    else response.end();
  };
  served = await serve(answer);
  return `${served.url}/api/v1`;
}

const STAGE = [
  { type: "stage_update", stage: { status: "running" } },
  { type: "info", message: "开始生成" },
  { type: "token", content: "生", full_text: "生" },
  { type: "token", content: "成", full_text: "生成" },
  { type: "done", full_text: "生成", stage: { status: "completed" } },
];

test.each([99, 1, 2, 3, 4])(
  "s4_10 a stage is told by type, cut after frame %i or not",
  async (cut) => {
    const baseUrl = await telling(STAGE, cut);
    const client = createStageStreamClient(7, "rewrite", { original_text: "原文" }, { baseUrl });
    const seen = { output: "", tokens: 0, isStreaming: true };
    client.on("token", (data) => {
      seen.output = data.full_text;
      seen.tokens += 1;
    });
    await new Promise((resolve) => {
      client.on("done", (data) => {
        seen.isStreaming = false;
        resolve(data);
      });
    });
    expect(seen).toEqual({ output: "生成", tokens: 2, isStreaming: false });
    expect(served?.asked[0]).toMatchObject({
      method: "POST",
      path: "/api/v1/projects/7/rewrite-stream/",
      body: '{"original_text":"原文"}',
    });
  },
);

test("s4_10 listeners come and go, and `emit` calls those that are there", () => {
  const client = new SSEClient("http://127.0.0.1:9/never");
  const heard: string[] = [];
  const listener = (data: { full_text: string }) => heard.push(data.full_text);
  client.on("token", listener).emit("token", { full_text: "测试文本" });
  client.off("token", listener).emit("token", { full_text: "不再" });
  expect(heard).toEqual(["测试文本"]);
});

test("s4_10 who disconnects hears nothing more", async () => {
  const baseUrl = await telling(STAGE);
  const client = createStageStreamClient(1, "rewrite", {}, { baseUrl });
  const heard: string[] = [];
  client.on("*", ({ type }) => {
    heard.push(type);
    if (type === "info") client.disconnect();
  });
  client.on("close", () => heard.push("close"));
  await client.connect();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(heard).toEqual(["stage_update", "info"]);
});

test("s4_10 an error frame and a refusal are both errors", async () => {
  const baseUrl = await telling([{ type: "error", error: "模型拒绝" }]);
  const client = createStageStreamClient(1, "rewrite", {}, { baseUrl });
  const said = await new Promise((resolve) => client.on("error", (data) => resolve(data.error)));
  expect(said).toBe("模型拒绝");
});

const EXTRACTION = [
  { type: "start", message: "开始为用户 user_0007 抽象事件..." },
  { type: "progress", message: "正在调用LLM分析 84 条行为..." },
  { type: "llm_chunk", content: "user_0007|启动APP|2025-11-24 09:50:50|早间活跃\n" },
  { type: "done", message: "抽象完成", event_count: 1 },
];

async function extract(baseUrl: string): Promise<string[]> {
  const log: string[] = [];
  await extractEventsForUserStream(
    "user_0007",
    {
      onProgress: (message) => log.push(`[进度] ${message}`),
      onLLMChunk: (chunk) => log.push(chunk),
      onDone: (data) => log.push(data.message),
      onError: (error) => log.push(`error: ${error}`),
    },
    { baseUrl, maxTries: 0 },
  ).catch(() => log.push("rejected"));
  return log;
}

test("s3_9 progress, chunks and the end are told, and the promise is kept", async () => {
  expect(await extract(await telling(EXTRACTION))).toEqual([
    "[进度] 正在调用LLM分析 84 条行为...",
    "user_0007|启动APP|2025-11-24 09:50:50|早间活跃\n",
    "抽象完成",
  ]);
  expect(served?.asked[0]).toMatchObject({
    method: "POST",
    path: "/api/v1/events/extract/user_0007/llm-stream",
  });
});

test("s3_9 an error in the stream calls onError", async () => {
  const message = "用户 X 没有行为数据";
  expect(await extract(await telling([{ type: "error", message }]))).toEqual([`error: ${message}`]);
});

test("s3_9 a server that is not there calls onError and rejects", async () => {
  const said = await extract("http://127.0.0.1:9/api/v1");
  expect(said).toHaveLength(2);
  expect(said[1]).toBe("rejected");
});
