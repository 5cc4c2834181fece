import { afterEach, expect, test } from "vitest";
import type { RunEvent } from "../src/index.ts";
import { SharedRun, shareRun } from "../src/shared.ts";
import { begin, frameOf, logOf, RUN, type Served, serve } from "./upstream.ts";

const LOG = logOf(Array.from({ length: 40 }, (_, at) => `字${at}`));

let served: Served | undefined;
afterEach(async () => {
  await served?.close();
});

/** A server that sends the next event whenever `go` is called, to all who listen. */
async function paced() {
  const readers = new Set<(upTo: number) => void>();
  let upTo = 2;
  served = await serve((response, { lastId }) => {
    let at = lastId;
    const send = (limit: number) => {
      while (at < limit) response.write(frameOf(LOG[at++] as RunEvent));
      if (at === LOG.length) response.end();
    };
    begin(response);
    readers.add(send);
    response.on("close", () => readers.delete(send));
    send(upTo);
  });
  const go = (to: number) => {
    upTo = to;
    for (const send of readers) send(to);
  };
  return { url: `${served.url}/v1/runs/${RUN}`, go };
}

async function read(run: AsyncIterable<RunEvent>, onEvent?: (event: RunEvent) => void) {
  const seqs: number[] = [];
  for await (const event of run) {
    seqs.push(event.seq);
    onEvent?.(event);
  }
  return seqs;
}

const whole = LOG.map((event) => event.seq);

test("three tabs share one connection and all see everything", async () => {
  const { url, go } = await paced();
  const tabs = [new SharedRun(url), new SharedRun(url), new SharedRun(url)];
  const reading = tabs.map((tab) => read(tab, ({ seq }) => seq < 3 && go(LOG.length)));
  expect(await Promise.all(reading)).toEqual([whole, whole, whole]);
  expect(served?.asked).toHaveLength(1);
});

test("when the tab that reads is closed the next one reads on from where it was", async () => {
  const { url, go } = await paced();
  const first = new SharedRun(url);
  const second = new SharedRun(url);
  const seen = read(second, ({ seq }) => {
    if (seq === 2) go(10);
    if (seq === 10) first.close();
    if (seq === 10) setTimeout(() => go(LOG.length), 20);
  });
  await read(first);
  expect(await seen).toEqual(whole);
  expect(served?.asked.map(({ lastId }) => lastId)).toEqual([0, 10]);
});

test("who comes late gets all that was before from the others", async () => {
  const { url, go } = await paced();
  const first = new SharedRun(url);
  let late: Promise<number[]> | undefined;
  const early = read(first, ({ seq }) => {
    if (seq === 2) go(30);
    if (seq === 30) late = read(new SharedRun(url), (event) => event.seq === 30 && go(LOG.length));
  });
  expect(await early).toEqual(whole);
  expect(await late).toEqual(whole);
  expect(served?.asked).toHaveLength(1);
});

test("a refusal reaches the reader", async () => {
  served = await serve((response) => {
    response.writeHead(404);
    response.end('{"error":{"code":"unknown_run","message":"no run"}}');
  });
  const run = shareRun(`${served.url}/v1/runs/NOPE`);
  await expect(read(run)).rejects.toMatchObject({ serverCode: "unknown_run" });
});
