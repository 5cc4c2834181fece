import type { RunEvent } from "unspool-client";
import { expect, test } from "vitest";
import { answerParts, type NodeJson } from "../src/data/graphs";
import { ExtractionLog } from "../src/live/extraction";

function log(...drafts: [string, object][]): ExtractionLog {
  const panel = new ExtractionLog();
  for (const [at, [type, data]] of drafts.entries()) {
    panel.apply({ seq: at + 1, type, at_ms: 1000 + at, data } satisfies RunEvent);
  }
  return panel;
}

const text = (words: string): [string, object] => ["text.delta", { step: "events", text: words }];
const found = (type: string): [string, object] => [
  "item.found",
  { kind: "event", step: "events", item: { user_id: "user_0007", type } },
];
const START: [string, object] = [
  "run.started",
  { flow: "extraction", input: { user_id: "user_0007" } },
];
const shown = ({ lines }: ExtractionLog) => lines.map((line) => line.text);

test("s3_10 the panel says what the contract prints, to the letter", () => {
  const panel = log(
    START,
    ["progress.made", { message: "正在调用LLM分析 84 条行为..." }],
    text("user_0007|启动APP|2025-11-24 09:50:50|早间"),
    text("活跃\n"),
    found("启动APP"),
    ["step.finished", { step: "events" }],
    ["run.completed", {}],
  );
  expect(shown(panel)).toEqual([
    "--- LLM实时响应 ---",
    "[进度] 开始为用户 user_0007 抽象事件...",
    "[进度] 正在调用LLM分析 84 条行为...",
    "user_0007|启动APP|2025-11-24 09:50:50|早间活跃",
    "[进度] 成功保存 1 个事件",
    "--- 响应结束 ---",
  ]);
});

test("lines that became events are told from those that did not, and half a line is shown", () => {
  const panel = log(
    START,
    text("以下是事件：\nuser_0007|启动APP|…\n"),
    found("启动APP"),
    text("user_0007|浏"),
  );
  expect(panel.lines.slice(2).map(({ text, isEvent }) => [text, isEvent])).toEqual([
    ["以下是事件：", false],
    ["user_0007|启动APP|…", true],
  ]);
  expect([panel.open, panel.stored]).toEqual(["user_0007|浏", 1]);
});

test("half a line that is taken back is gone, and what is left at the end is judged", () => {
  const panel = log(
    START,
    text("半行"),
    ["step.rewound", { step: "events", at: 0 }],
    text("整行"),
    ["run.incomplete", { code: "truncated", message: "断了" }],
  );
  expect(shown(panel).slice(2)).toEqual(["整行", "断了", "--- 响应结束 ---"]);
  expect(panel.lines[2]?.isEvent).toBe(false);
});

test("an answer names the nodes that it rests on, each once where it stands", () => {
  const nodes = [
    { id: "e1", name: "收藏商品", type: "event", description: "" },
  ] satisfies NodeJson[];
  const parts = answerParts("从收藏商品 [e1]走向[e9]，再到 [e1]", nodes).map(({ text, node }) =>
    node ? `<${text}>` : text,
  );
  expect(parts).toEqual(["从", "<收藏商品>", "走向", "[e9]", "，再到 ", "<收藏商品>", ""]);
});
