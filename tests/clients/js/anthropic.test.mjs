import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { end, Server, slow, TEXT, until } from "./server.mjs";

let server, client;
const messages = [{ role: "user", content: "hello" }];
const tools = [{ name: "count", description: "counts", input_schema: { type: "object" } }];

before(async () => {
  server = await Server.start();
  client = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
  const call = { index: 0, id: "c1", name: "count", arguments: '{"of":"x"}' };
  await server.model("slow", slow());
  await server.model("caller", [{ tool: call }, { finish: "tool_calls" }], [{ text: "three" }, ...end]);
  const more = { ...call, index: 1, id: "c2", arguments: "{}" };
  await server.model("twice", [{ tool: call }, { tool: more }, { finish: "tool_calls" }]);
  await server.model("broken", [{ text: "half" }, { fail: "interrupted" }]);
});
after(() => server.close());

test("a message streams, and is the same when it is asked for whole", async () => {
  const stream = client.messages.stream({ model: "slow", max_tokens: 100, messages });
  const message = await stream.finalMessage();
  assert.equal(message.content[0].text, TEXT);
  assert.equal(message.stop_reason, "end_turn");
  assert.equal(message.usage.output_tokens, 30);
  const whole = await client.messages.create({ model: "slow", max_tokens: 100, messages });
  assert.deepEqual(whole.content, message.content);
});

test("a tool goes round", async () => {
  const asked = { model: "caller", max_tokens: 100, messages, tools };
  const first = await client.messages.stream(asked).finalMessage();
  assert.equal(first.stop_reason, "tool_use");
  const [use] = first.content;
  assert.deepEqual(use.input, { of: "x" });
  const result = { type: "tool_result", tool_use_id: use.id, content: "3" };
  const talk = [...messages, { role: "assistant", content: first.content }];
  const second = await client.messages.create({
    ...asked,
    messages: [...talk, { role: "user", content: [result] }],
  });
  assert.equal(second.content[0].text, "three");
});

test("each of two calls is told once, with its arguments", async () => {
  const stream = client.messages.stream({ model: "twice", max_tokens: 100, messages, tools });
  const told = [];
  stream.on("contentBlock", (block) => void told.push([block.id, block.input]));
  await stream.finalMessage();
  assert.deepEqual(told, [["c1", { of: "x" }], ["c2", {}]]);
});

test("a failure in the middle raises, and so does an unknown model", async () => {
  const stream = client.messages.stream({ model: "broken", max_tokens: 100, messages });
  await assert.rejects(stream.finalMessage(), /interrupted|half|broke/i);
  const unknown = client.messages.create({ model: "nobody", max_tokens: 9, messages });
  await assert.rejects(unknown, Anthropic.NotFoundError);
});

test("a client that leaves stops nothing: the run goes on through a kill, and can be cancelled", async () => {
  const { data: stream, response } = await client.messages
    .create({ model: "slow", max_tokens: 100, messages, stream: true })
    .withResponse();
  const id = response.headers.get("x-run-id");
  for await (const event of stream) if (event.type === "content_block_delta") break;
  await server.restart();
  await until(async () => (await server.run(id)).status === "completed");
  const path = `${server.url}/v1/runs/${id}/events?dialect=anthropic_messages`;
  const replayed = await (await fetch(path)).text();
  assert.ok(replayed.includes("event: message_stop"));
  assert.equal((await server.run(id)).text, TEXT);
  const other = await client.messages
    .create({ model: "slow", max_tokens: 100, messages, stream: true })
    .withResponse();
  const cancelling = other.response.headers.get("x-run-id");
  await server.post(`/v1/runs/${cancelling}/cancel`, {});
  await assert.rejects(async () => {
    for await (const _ of other.data);
  }, /cancelled/);
});
