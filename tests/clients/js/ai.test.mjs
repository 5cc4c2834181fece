import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Chat } from "@ai-sdk/vue";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } from "ai";
import { end, Server, slow, TEXT, until } from "./server.mjs";

let server;

before(async () => {
  server = await Server.start();
  const call = { index: 0, id: "c1", name: "count", arguments: '{"of":"x"}' };
  await server.model("slow", slow());
  await server.model("caller", [{ tool: call }, { finish: "tool_calls" }], [{ text: "three" }, ...end]);
  await server.model("broken", [{ text: "half" }, { fail: "interrupted" }]);
});
after(() => server.close());

function chat(id, model, more = {}) {
  const transport = new DefaultChatTransport({ api: `${server.url}/v1/ui/chat`, body: { model } });
  return new Chat({ id, transport, ...more });
}

const textOf = (message) =>
  message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");

test("a message streams to its end", async () => {
  const one = chat("whole", "slow");
  await one.sendMessage({ text: "hello" });
  assert.equal(one.status, "ready");
  assert.equal(textOf(one.lastMessage), TEXT);
});

test("stop leaves the run, and a page that returns gets the whole message", async () => {
  const one = chat("cut", "slow");
  const sending = one.sendMessage({ text: "hello" });
  await until(() => one.lastMessage && textOf(one.lastMessage).includes("word2"));
  await one.stop();
  await sending;
  const kept = textOf(one.lastMessage);
  assert.ok(kept.length < TEXT.length);
  const fresh = chat("cut", "slow");
  await fresh.resumeStream();
  assert.equal(textOf(fresh.lastMessage), TEXT);
  await one.resumeStream();
  assert.equal(textOf(one.lastMessage), TEXT);
  assert.equal(one.messages.length, 2, "the replay takes the place of the partial message");
});

test("a page resumes through a kill of the server", async () => {
  const one = chat("killed", "slow", { onError: () => {} });
  const sending = one.sendMessage({ text: "hello" }).catch(() => {});
  await until(() => one.lastMessage && textOf(one.lastMessage).includes("word5"));
  await server.restart();
  await sending;
  const fresh = chat("killed", "slow");
  await fresh.resumeStream();
  assert.equal(textOf(fresh.lastMessage), TEXT);
});

test("stopping the run works beside resuming", async () => {
  const one = chat("stopped", "slow");
  const sending = one.sendMessage({ text: "hello" });
  await until(() => one.lastMessage && textOf(one.lastMessage).includes("word2"));
  const stopped = await server.post("/v1/ui/chat/stopped/stop", {});
  assert.equal(stopped.stopped, true);
  await sending;
  assert.equal((await server.run(stopped.run)).status, "cancelled");
  assert.ok(textOf(one.lastMessage).length < TEXT.length);
});

test("nothing to resume is no error", async () => {
  const one = chat("unknown", "slow");
  await one.resumeStream();
  assert.equal(one.messages.length, 0);
  assert.equal(one.status, "ready");
});

test("a failure in the middle is an error", async () => {
  const errors = [];
  const one = chat("broken", "broken", { onError: (error) => errors.push(error) });
  await one.sendMessage({ text: "hello" });
  assert.equal(one.status, "error");
  assert.match(errors[0].message, /interrupted|half|broke/i);
});

test("an answer that is begun again takes the place of the half one", async (t) => {
  const patient = await Server.start({ UNSPOOL_RETRIES: "1" });
  t.after(() => patient.close());
  const attempts = [[{ text: "{wrong" }, { fail: "interrupted" }], [{ text: "{}" }, ...end]];
  const again = { name: "again", provider: "scripted", prefill: "none", params: { script: { attempts } } };
  await patient.post("/api/models", again);
  const form = { response_format: { type: "json_object" } };
  const body = { model: "again", params: form };
  const transport = new DefaultChatTransport({ api: `${patient.url}/v1/ui/chat`, body });
  const one = new Chat({ id: "over", transport });
  await one.sendMessage({ text: "hello" });
  assert.equal(one.status, "ready");
  assert.equal(textOf(one.lastMessage), "{}");
  assert.equal(one.messages.length, 2);
  const [run] = (await (await fetch(`${patient.url}/v1/runs`)).json()).runs;
  const events = await (await fetch(`${patient.url}/v1/runs/${run.id}/events?dialect=native`)).text();
  assert.match(events, /step\.rewound/);
});

test("a tool of the page goes round, in one message", async () => {
  const one = chat("tools", "caller", {
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall: ({ toolCall }) => {
      one.addToolOutput({ tool: "count", toolCallId: toolCall.toolCallId, output: 3 });
    },
  });
  const tools = [{ name: "count", description: "counts", parameters: { type: "object" } }];
  await one.sendMessage({ text: "hello" }, { body: { model: "caller", tools } });
  await until(() => one.status === "ready" && textOf(one.lastMessage).includes("three"));
  assert.equal(one.messages.length, 2);
});
