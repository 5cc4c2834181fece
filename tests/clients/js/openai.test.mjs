import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { Server, slow, TEXT } from "./server.mjs";

let server, client;
const messages = [{ role: "user", content: "hello" }];

before(async () => {
  server = await Server.start();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  await server.model("slow", slow());
  await server.model("broken", [{ text: "half" }, { fail: "interrupted" }]);
});
after(() => server.close());

test("a completion streams with its usage, and a broken one raises", async () => {
  const asked = { model: "slow", messages, stream: true, stream_options: { include_usage: true } };
  let text = "";
  let usage;
  for await (const chunk of await client.chat.completions.create(asked)) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, TEXT);
  assert.equal(usage.completion_tokens, 30);
  const broken = await client.chat.completions.create({ ...asked, model: "broken" });
  await assert.rejects(async () => {
    for await (const _ of broken);
  }, OpenAI.APIError);
});

test("a response is resumed behind a sequence number, through a kill of the server", async () => {
  const asked = { model: "slow", input: "hello", stream: true, background: true };
  const first = await client.responses.create(asked);
  const events = [];
  for await (const event of first) {
    events.push(event);
    if (event.sequence_number === 8) break;
  }
  const { id } = events[0].response;
  await server.restart();
  const rest = await client.responses.retrieve(id, { stream: true, starting_after: 8 });
  for await (const event of rest) events.push(event);
  assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, place) => place));
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), TEXT);
});

test("a response is cancelled", async () => {
  const { id } = await client.responses.create({ model: "slow", input: "x", background: true });
  assert.equal((await client.responses.cancel(id)).status, "cancelled");
});
