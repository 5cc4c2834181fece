import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { stream } from "@durable-streams/client";
import { EventSource } from "eventsource";
import { Server, slow, TEXT } from "./server.mjs";

let server;

before(async () => {
  server = await Server.start();
  await server.model("slow", slow());
});
after(() => server.close());

async function started() {
  const body = { flow: "chat", input: { prompt: "hello" }, model: "slow" };
  return (await server.post("/v1/runs", body)).id;
}

const spoken = (events) =>
  events.filter((event) => event.type === "text.delta").map((event) => event.data.text).join("");

for (const live of ["sse", "long-poll", true]) {
  test(`a durable stream is followed to its end, live: ${live}`, async () => {
    const url = `${server.url}/v1/streams/${await started()}`;
    const reading = await stream({ url, offset: "-1", live });
    const events = [];
    await new Promise((resolve, reject) => {
      reading.subscribeJson(async (batch) => {
        events.push(...batch.items);
        if (batch.streamClosed || events.at(-1)?.type === "run.completed") resolve();
      });
      reading.closed.then(resolve, reject);
    });
    assert.equal(spoken(events), TEXT);
    assert.deepEqual(events.map((event) => event.seq), events.map((_, place) => place + 1));
  });
}

test("a durable stream goes on from its offset, through a kill of the server", async () => {
  const url = `${server.url}/v1/streams/${await started()}`;
  const first = await stream({ url, offset: "-1", live: "sse" });
  const events = [];
  let offset;
  await new Promise((resolve) => {
    first.subscribeJson(async (batch) => {
      events.push(...batch.items);
      offset = batch.offset;
      if (spoken(events).includes("word5")) resolve();
    });
  });
  first.cancel();
  const had = events.length;
  await server.restart();
  const rest = await stream({ url, offset, live: "long-poll" });
  const later = [];
  await new Promise((resolve, reject) => {
    rest.subscribeJson(async (batch) => {
      later.push(...batch.items);
      if (later.at(-1)?.type === "run.completed") resolve();
    });
    rest.closed.then(resolve, reject);
  });
  const all = [...events.slice(0, had), ...later.filter((event) => event.seq > events[had - 1].seq)];
  assert.equal(spoken(all), TEXT);
  assert.equal(later[0].seq, events[had - 1].seq + 1, "nothing twice, nothing left out");
});

test("an EventSource goes on by itself, through a kill of the server", async () => {
  const id = await started();
  const source = new EventSource(`${server.url}/v1/runs/${id}/events`);
  const alive = setInterval(() => {}, 1000);
  const events = [];
  let isKilled = false;
  await new Promise((resolve, reject) => {
    source.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      events.push(event);
      if (event.type === "run.completed") resolve();
      if (!isKilled && spoken(events).includes("word5")) {
        isKilled = true;
        server.restart().catch(reject);
      }
    };
  });
  source.close();
  clearInterval(alive);
  assert.ok(isKilled);
  assert.equal(spoken(events), TEXT);
  assert.deepEqual(events.map((event) => event.seq), events.map((_, place) => place + 1));
});

test("fetch-event-source POSTs again and goes on, through a kill of the server", async () => {
  const page = { hidden: false, addEventListener() {}, removeEventListener() {} };
  Object.assign(globalThis, { document: page, window: globalThis }); // it is for browsers alone
  const { fetchEventSource } = await import("@microsoft/fetch-event-source");
  const headers = {
    accept: "text/event-stream",
    "content-type": "application/json",
    "idempotency-key": "fetch-event-source",
  };
  const body = JSON.stringify({ model: "slow", input: { prompt: "hello" } });
  const events = [];
  let killing;
  await fetchEventSource(`${server.url}/v1/runs`, {
    method: "POST",
    headers,
    body,
    onmessage({ data }) {
      events.push(JSON.parse(data));
      if (!killing && spoken(events).includes("word5")) killing = server.restart();
    },
  });
  await killing;
  assert.ok(killing);
  assert.equal(spoken(events), TEXT);
  assert.deepEqual(events.map((event) => event.seq), events.map((_, place) => place + 1));
});
