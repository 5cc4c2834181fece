import { afterEach, expect, test } from "vitest";
import { followRun, openRun, type RunEvent, runUrlOf, UnspoolError } from "../src/index.ts";
import {
  type Answer,
  begin,
  frameOf,
  logOf,
  RUN,
  type Served,
  serve,
  tellUntil,
} from "./upstream.ts";

const LOG = logOf(["今天", "推荐", "这双", "鞋。"]);
const HURRIED = { random: () => 0 };

const opened: Served[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((served) => served.close()));
});

async function serving(answer: Answer): Promise<Served> {
  const served = await serve(answer);
  opened.push(served);
  return served;
}

async function all(run: AsyncIterable<RunEvent>): Promise<RunEvent[]> {
  const events = [];
  for await (const event of run) events.push(event);
  return events;
}

test("a run is started once and told to its end", async () => {
  const { url, asked } = await serving(tellUntil(LOG, 99));
  const run = openRun(`${url}/v1/runs`, { body: { flow: "chat" } });
  expect(await all(run)).toEqual(LOG);
  expect(run.id).toBe(RUN);
  expect(run.state.text).toBe("今天推荐这双鞋。");
  expect(asked.map(({ method, path, body }) => [method, path, body])).toEqual([
    ["POST", "/v1/runs", '{"flow":"chat"}'],
  ]);
});

test.each(LOG.map((event) => event.seq).slice(0, -1))(
  "a stream that breaks after event %i goes on behind it, and nothing comes twice",
  async (cut) => {
    const { url, asked } = await serving((response, facts) =>
      tellUntil(LOG, facts.number === 1 ? cut : 99)(response, facts),
    );
    expect(await all(openRun(`${url}/v1/runs`, { ...HURRIED }))).toEqual(LOG);
    expect(asked[1]).toMatchObject({
      method: "GET",
      path: `/v1/runs/${RUN}/events?dialect=native`,
      lastId: cut,
    });
  },
);

test("an end that says everything was told is an end only after the last event", async () => {
  const { url, asked } = await serving((response, { lastId, number }) => {
    begin(response);
    response.end(
      LOG.slice(lastId, number * 3)
        .map(frameOf)
        .join(""),
    );
  });
  expect(await all(openRun(`${url}/v1/runs`, HURRIED))).toEqual(LOG);
  expect(asked.map(({ lastId }) => lastId)).toEqual([0, 3, 6]);
});

test("a POST whose answer is lost is sent again under the same key", async () => {
  const { url, asked } = await serving((response, facts) =>
    facts.number < 3 ? response.destroy() : tellUntil(LOG, 99)(response, facts),
  );
  expect(await all(openRun(`${url}/v1/runs`, HURRIED))).toEqual(LOG);
  const keys = asked.map(({ headers }) => headers["idempotency-key"]);
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
});

test("a server that is too busy is asked again when it says", async () => {
  const { url, asked } = await serving((response, facts) => {
    if (facts.number > 1) return tellUntil(LOG, 99)(response, facts);
    response.writeHead(503, { "retry-after": "0" });
    response.end();
  });
  expect(await all(openRun(`${url}/v1/runs`, HURRIED))).toHaveLength(LOG.length);
  expect(asked).toHaveLength(2);
});

test("a reader that leaves while it waits for its next try makes none until it comes back", async () => {
  const { url, asked } = await serving((response, facts) =>
    facts.number === 1 ? response.destroy() : tellUntil(LOG, 99)(response, facts),
  );
  const tries: number[] = [];
  const run = openRun(`${url}/v1/runs`, {
    ...HURRIED,
    onContact: (contact) => {
      if (contact === "waiting") run.disconnect();
      if (contact !== "away") return;
      tries.push(asked.length);
      setTimeout(() => run.reconnect());
    },
  });
  expect(await all(run)).toEqual(LOG);
  expect(tries).toEqual([1]);
});

test("204 ends it: nothing is left", async () => {
  const { url } = await serving((response) => {
    response.writeHead(204);
    response.end();
  });
  expect(await all(followRun(`${url}/v1/runs/${RUN}`, { after: 7 }))).toEqual([]);
});

test("a missing event is an error and no event after it is told", async () => {
  const { url } = await serving((response) => {
    begin(response);
    response.end([...LOG.slice(0, 2), ...LOG.slice(3)].map(frameOf).join(""));
  });
  const seen: number[] = [];
  const reading = (async () => {
    for await (const event of openRun(`${url}/v1/runs`, HURRIED)) seen.push(event.seq);
  })();
  await expect(reading).rejects.toMatchObject({ code: "gap" });
  expect(seen).toEqual([1, 2]);
});

test("events that were told already are passed over", async () => {
  const { url } = await serving((response) => {
    begin(response);
    response.end([...LOG.slice(0, 4), ...LOG.slice(1)].map(frameOf).join(""));
  });
  expect(await all(openRun(`${url}/v1/runs`, HURRIED))).toEqual(LOG);
});

test("a refusal is told with the server's own code", async () => {
  const { url } = await serving((response) => {
    response.writeHead(404, { "content-type": "application/json" });
    response.end('{"error":{"code":"unknown_record","message":"no product"}}');
  });
  const error = await all(openRun(`${url}/v1/runs`)).catch((caught) => caught);
  expect(error).toBeInstanceOf(UnspoolError);
  expect(error).toMatchObject({ status: 404, serverCode: "unknown_record", message: "no product" });
});

test("a run of another contract is read in ours, and its first stream is left after that", async () => {
  let isLeft = false;
  const { url } = await serving((response, facts) => {
    if (facts.number > 1) {
      expect(isLeft).toBe(false);
      return tellUntil(LOG, 99)(response, facts);
    }
    response.on("close", () => {
      isLeft = true;
    });
    begin(response);
    response.write('id: 1\ndata: {"type":"start","total":3}\n\n');
  });
  expect(await all(openRun(`${url}/ai/generate/copy`, { ...HURRIED, body: {} }))).toEqual(LOG);
});

test("who gives up is told so, and who leaves is told nothing", async () => {
  const { url } = await serving((response) => response.destroy());
  const tried = all(openRun(`${url}/v1/runs`, { ...HURRIED, maxTries: 3 }));
  await expect(tried).rejects.toMatchObject({
    code: "unreachable",
    message: expect.stringMatching(/3 times \(.+\)$/),
  });

  const stop = new AbortController();
  const left = all(openRun(`${url}/v1/runs`, { signal: stop.signal }));
  stop.abort();
  await expect(left).rejects.toThrow(/abort/i);
});

test("a page for people at a wrong address is no stream, and is not asked for again", async () => {
  const { url, asked } = await serving((response) => {
    response.writeHead(200, { "content-type": "text/html" });
    response.end("<!doctype html>");
  });
  const wrong = { code: "protocol", message: expect.stringMatching(/text\/html.*address/) };
  await expect(all(openRun(`${url}/v1/runs`, HURRIED))).rejects.toMatchObject(wrong);
  await expect(all(followRun(`${url}/v1/runs/${RUN}`, HURRIED))).rejects.toMatchObject(wrong);
  expect(asked).toHaveLength(2);
});

test("a path alone is no address outside a page, and that is said at once", async () => {
  const wrong = { code: "protocol", message: expect.stringMatching(/^\/v1\/runs.*http:\/\//) };
  await expect(all(openRun("/v1/runs"))).rejects.toMatchObject(wrong);
});

test.each([
  ["http://api/v1/runs", "http://api"],
  ["https://shop.example/api/unspool/v1/runs", "https://shop.example/api/unspool"],
  ["/api/v1/runs", "/api"],
  ["http://ai/ai/generate/copy", "http://ai"],
  ["/below/api/v1/projects/3/rewrite-stream/", "/below"],
  ["/api/debug/chat", ""],
  ["https://shop.example/write", "https://shop.example"],
])("a run that %s started is followed at the same server", (url, root) => {
  expect(runUrlOf(url, RUN)).toBe(`${root}/v1/runs/${RUN}`);
});

test("a run that is stopped before its id is known is stopped once it is", async () => {
  const { url, asked } = await serving((response, facts) => {
    if (facts.number === 2) response.destroy();
    else if (facts.path.endsWith("/cancel")) response.end("{}");
    else tellUntil(LOG, 99)(response, facts);
  });
  const run = openRun(`${url}/v1/runs`, HURRIED);
  const reading = all(run);
  await run.cancel();
  expect(await reading).toEqual(LOG);
  const stops = asked.filter(({ path }) => path === `/v1/runs/${RUN}/cancel`);
  expect(stops).toHaveLength(2); // the first one broke
});

test("who has left by the button stays away until called back, and misses nothing", async () => {
  const { url, asked } = await serving((response, facts) => {
    if (facts.number > 1) return tellUntil(LOG, 99)(response, facts);
    begin(response);
    response.write(LOG.slice(0, 3).map(frameOf).join(""));
  });
  const contacts: string[] = [];
  const run = openRun(`${url}/v1/runs`, { ...HURRIED, onContact: (now) => contacts.push(now) });
  const seen: number[] = [];
  for await (const event of run) {
    seen.push(event.seq);
    if (event.seq === 3) {
      run.disconnect();
      setTimeout(() => run.reconnect());
    }
  }
  expect(seen).toEqual(LOG.map((event) => event.seq));
  expect(contacts).toEqual(["connecting", "open", "away", "connecting", "open"]);
  expect(asked[1]?.lastId).toBe(3);
});

test("cancelling asks the server once and the run's own end still comes", async () => {
  const { url, asked } = await serving((response, facts) => {
    if (facts.path.endsWith("/cancel")) {
      response.writeHead(200);
      return response.end("{}");
    }
    return tellUntil(LOG, 99)(response, facts);
  });
  const run = followRun(`${url}/v1/runs/${RUN}`);
  for await (const event of run) if (event.seq === 2) await run.cancel();
  expect(asked.map(({ path }) => path)).toContain(`/v1/runs/${RUN}/cancel`);
});
