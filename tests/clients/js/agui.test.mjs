import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { HttpAgent } from "@ag-ui/client";
import { end, Server, slow, TEXT, until } from "./server.mjs";

let server;

before(async () => {
  server = await Server.start();
  await server.model("slow", slow());
  await server.model("broken", [{ text: "half" }, { fail: "interrupted" }]);
});
after(() => server.close());

function agent(threadId) {
  const made = new HttpAgent({ url: `${server.url}/v1/agui`, threadId });
  made.setMessages([{ id: "m1", role: "user", content: "hello" }]);
  return made;
}

const props = (model) => ({ forwardedProps: { model } });
const said = (one) => one.messages.filter((it) => it.role === "assistant").map((it) => it.content);

test("an agent runs to its end", async () => {
  const one = agent("t1");
  const { newMessages } = await one.runAgent({ runId: "r1", ...props("slow") });
  assert.deepEqual(newMessages.map((message) => message.content), [TEXT]);
});

test("an agent that was cut joins its run again, through a kill of the server", async () => {
  const one = agent("t2");
  let words = "";
  const seen = one.runAgent(
    { runId: "r2", ...props("slow") },
    { onTextMessageContentEvent: ({ event }) => void (words += event.delta) },
  );
  const cut = seen.catch(() => {});
  await until(() => words.includes("word5"));
  one.abortRun();
  await cut;
  await server.restart();
  const again = agent("t2");
  await again.runAgent({ runId: "r2", ...props("slow") });
  assert.deepEqual(said(again), [TEXT]);
});

test("a failure is told", async () => {
  const one = agent("t3");
  const errors = [];
  const running = one.runAgent(
    { runId: "r3", ...props("broken") },
    { onRunErrorEvent: ({ event }) => void errors.push(event) },
  );
  await running.catch(() => {});
  assert.equal(errors.length, 1);
});

test("a run that is cancelled says so", async () => {
  const one = agent("t4");
  let outcome;
  const running = one.runAgent(
    { runId: "r4", ...props("slow") },
    { onRunFinishedEvent: (params) => void (outcome = params.outcome) },
  );
  let id;
  await until(async () => {
    const { runs } = await (await fetch(`${server.url}/v1/runs?status=running`)).json();
    id = runs[0]?.id;
    return id !== undefined;
  });
  await server.post(`/v1/runs/${id}/cancel`, {});
  await running.catch(() => {});
  assert.equal(outcome, "cancelled");
});
