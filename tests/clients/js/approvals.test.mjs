// A tool that waits for a person, answered by the clients' own functions.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { buildResumeArray, HttpAgent } from "@ag-ui/client";
import { Chat } from "@ai-sdk/vue";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { end, Server, until } from "./server.mjs";

let server;
let tool;

const call = { index: 0, id: "c1", name: "calculate", arguments: '{"expression":"2+3"}' };
const asks = [{ text: "Let me see. " }, { tool: call }, { finish: "tool_calls" }];
const answers = [{ text: "It is done." }, ...end];

before(async () => {
  server = await Server.start();
  const answer = { kind: "python", entry_point: "calculate" };
  tool = await server.post("/api/tools", { name: "calculate", answer, approve: true });
});
after(() => server.close());

// A script begins anew with its server, so the model gets one for the time after.
async function killed(name) {
  await server.restart();
  const { models } = await (await fetch(`${server.url}/api/models`)).json();
  const { id } = models.find((model) => model.name === name);
  await server.send("PATCH", `/api/models/${id}`, { params: { script: { attempts: [answers] } } });
}

const textOf = (message) =>
  message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");
const callOf = (message) => message.parts.find((part) => "toolCallId" in part);

async function chat(id) {
  const model = await server.model(`ui-${id}`, asks, answers);
  const body = { model, tool_ids: [tool.id] };
  const transport = new DefaultChatTransport({ api: `${server.url}/v1/ui/chat`, body });
  const sendAutomaticallyWhen = lastAssistantMessageIsCompleteWithApprovalResponses;
  return new Chat({ id, transport, sendAutomaticallyWhen });
}

async function asked(one) {
  await one.sendMessage({ text: "2+3?" });
  const part = callOf(one.lastMessage);
  assert.equal(part.state, "approval-requested");
  return part.approval.id;
}

test("a chat approves a call, through a kill of the server, in one message", async () => {
  const one = await chat("approved");
  const id = await asked(one);
  await killed("ui-approved");
  await one.addToolApprovalResponse({ id, approved: true });
  await until(() => one.status === "ready" && textOf(one.lastMessage).includes("done"));
  assert.equal(textOf(one.lastMessage), "Let me see. It is done.");
  assert.equal(callOf(one.lastMessage).state, "output-available");
  assert.equal(callOf(one.lastMessage).output.value, 5);
  assert.equal(one.messages.length, 2);
});

test("a chat declines a call, and the answer goes on without it", async () => {
  const one = await chat("declined");
  const id = await asked(one);
  await one.addToolApprovalResponse({ id, approved: false, reason: "too dear" });
  await until(() => one.status === "ready" && textOf(one.lastMessage).includes("done"));
  assert.equal(callOf(one.lastMessage).state, "output-denied");
});

test("a second page answers first, and the first one gets its answer", async () => {
  const one = await chat("twice");
  const id = await asked(one);
  const { runs } = await (await fetch(`${server.url}/v1/runs?status=waiting`)).json();
  await server.post(`/v1/runs/${runs[0].id}/answers`, { declined: true, reason: "not today" });
  await one.addToolApprovalResponse({ id, approved: true });
  await until(() => one.status === "ready" && textOf(one.lastMessage).includes("done"));
  assert.equal(callOf(one.lastMessage).state, "output-denied");
});

async function interrupted(threadId) {
  const model = await server.model(`agui-${threadId}`, asks, answers);
  const props = { forwardedProps: { model, tool_ids: [tool.id] } };
  const one = new HttpAgent({ url: `${server.url}/v1/agui`, threadId });
  one.setMessages([{ id: "m1", role: "user", content: "2+3?" }]);
  await one.runAgent({ runId: `${threadId}-1`, ...props });
  assert.equal(one.pendingInterrupts.length, 1);
  return { one, props };
}

const said = (one) => one.messages.filter((it) => it.role === "assistant").map((it) => it.content);

for (const [name, reply, told] of [
  ["approves", { status: "resolved", payload: { approved: true } }, /5/],
  ["declines", { status: "cancelled" }, /declined/],
]) {
  test(`an agent ${name} its interrupt, through a kill of the server`, async () => {
    const { one, props } = await interrupted(`t-${name}`);
    const open = one.pendingInterrupts;
    await killed(`agui-t-${name}`);
    const resume = buildResumeArray(open, { [open[0].id]: reply });
    await one.runAgent({ runId: `t-${name}-2`, resume, ...props });
    assert.equal(one.pendingInterrupts.length, 0);
    assert.match(one.messages.find((it) => it.role === "tool").content, told);
    assert.match(said(one).join(""), /It is done\./);
  });
}
