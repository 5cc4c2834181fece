import { afterEach, expect, test } from "vitest";
import { followRun, openRun, type RunEvent, type Ticket, UnspoolError } from "../src/index.ts";
import { type Answer, frameOf, logOf, RUN, type Served, serve, tellUntil } from "./upstream.ts";

const LOG = logOf(["今天", "推荐", "这双", "鞋。"]);
const HURRIED = { random: () => 0 };

let served: Served | undefined;
afterEach(async () => {
  await served?.close();
});

async function serving(answer: Answer): Promise<string> {
  served = await serve(answer);
  return `${served.url}/v1/runs/${RUN}`;
}

/** A server that takes no ticket but those in `valid`. */
function guarded(valid: ReadonlySet<string>, answer: Answer): Answer {
  return (response, facts) => {
    if (valid.has(`${facts.headers.authorization}`)) return answer(response, facts);
    response.writeHead(401, { "content-type": "application/json" });
    response.end('{"error":{"code":"unauthorized","message":"this ticket has expired"}}');
  };
}

async function all(run: AsyncIterable<RunEvent>): Promise<number[]> {
  const seqs = [];
  for await (const event of run) seqs.push(event.seq);
  return seqs;
}

const whole = LOG.map((event) => event.seq);

/** A source of tickets `t1`, `t2` …, and the runs that it was asked for. */
function tickets(expiry: Partial<Ticket> = {}) {
  const asked: string[] = [];
  const ticket = async (runUrl: string) => ({ ticket: `t${asked.push(runUrl)}`, ...expiry });
  return { asked, ticket };
}

const sent = () => served?.asked.map(({ headers }) => headers.authorization);

test("a ticket that the server takes no more is renewed, and no event is lost", async () => {
  const valid = new Set(["Bearer t1"]);
  const url = await serving(
    guarded(valid, (response, facts) => {
      if (facts.number > 1) return tellUntil(LOG, 99)(response, facts);
      valid.delete("Bearer t1");
      valid.add("Bearer t2");
      return tellUntil(LOG, 3)(response, facts);
    }),
  );
  const { asked, ticket } = tickets();
  expect(await all(followRun(url, { ...HURRIED, ticket }))).toEqual(whole);
  expect(asked).toEqual([url, url]);
  expect(sent()).toEqual(["Bearer t1", "Bearer t1", "Bearer t2"]);
});

test("a ticket that has ended is renewed before it is sent again", async () => {
  const url = await serving((response, facts) =>
    tellUntil(LOG, facts.number === 1 ? 3 : 99)(response, facts),
  );
  const { ticket } = tickets({ expires_at: "2020-01-01T00:00:00Z" });
  expect(await all(followRun(url, { ...HURRIED, ticket }))).toEqual(whole);
  expect(sent()).toEqual(["Bearer t1", "Bearer t2"]);
});

test("a ticket that holds is kept over a break", async () => {
  const url = await serving((response, facts) =>
    tellUntil(LOG, facts.number < 3 ? facts.number : 99)(response, facts),
  );
  const end = new Date(Date.now() + 60_000).toISOString();
  const { ticket } = tickets({ expires_at: end });
  expect(await all(followRun(url, { ...HURRIED, ticket }))).toEqual(whole);
  expect(sent()).toEqual(["Bearer t1", "Bearer t1", "Bearer t1"]);
});

test("a new ticket that is refused at once is the end", async () => {
  const url = await serving(guarded(new Set(), tellUntil(LOG, 99)));
  const { asked, ticket } = tickets();
  await expect(all(followRun(url, { ...HURRIED, ticket }))).rejects.toMatchObject({
    code: "refused",
    status: 401,
  });
  expect(asked).toHaveLength(1);
});

test("who cannot get a ticket now tries again, and a refusal is final", async () => {
  const url = await serving(tellUntil(LOG, 99));
  let calls = 0;
  const late = async () => {
    calls += 1;
    if (calls < 3) throw new TypeError("no network");
    return { ticket: "t" };
  };
  expect(await all(followRun(url, { ...HURRIED, ticket: late }))).toEqual(whole);
  const never = async () => {
    throw new UnspoolError("refused", "not yours", 403);
  };
  await expect(all(followRun(url, { ...HURRIED, ticket: never }))).rejects.toThrow("not yours");
});

test("a key goes with every request, also with that which cancels", async () => {
  const url = await serving((response, facts) => {
    if (!facts.path.endsWith("/cancel")) return tellUntil(LOG, 99)(response, facts);
    response.writeHead(200);
    response.end("{}");
  });
  const run = openRun(url.replace(`/${RUN}`, ""), { ...HURRIED, key: "usp_x", body: {} });
  for await (const event of run) if (event.seq === 2) await run.cancel();
  expect(sent()).toEqual(["Bearer usp_x", "Bearer usp_x"]);
});

test("a run is started without a ticket, which opens only runs that are there", async () => {
  const url = await serving((response, facts) =>
    facts.number > 1
      ? tellUntil(LOG, 99)(response, facts)
      : response.writeHead(200, { "x-run-id": RUN }).end(LOG.slice(0, 2).map(frameOf).join("")),
  );
  const { asked, ticket } = tickets();
  const run = openRun(url.replace(`/${RUN}`, ""), { ...HURRIED, ticket, body: {} });
  expect(await all(run)).toEqual(whole);
  expect(asked).toEqual([url]);
  expect(sent()).toEqual([undefined, "Bearer t1"]);
});
