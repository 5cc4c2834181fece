/** `useRun` in real Vue and real React, over `unspool serve`. */

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { RunActions, RunOptions } from "../src/watched.ts";
import { type Page, runInScope, showInReact, showInVue } from "./pages.ts";
import { IS_THERE, Program, WORDS } from "./serving.ts";
import { begin, frameOf, logOf, serve, tellUntil } from "./upstream.ts";

const TEXT = WORDS.join("");
const asked = (model: string, prompt = "Say it.") => ({ flow: "chat", model, input: { prompt } });

/** Look again until it holds. */
const until = (holds: () => unknown) =>
  vi.waitFor(async () => expect(await holds()).toBeTruthy(), { timeout: 12_000, interval: 10 });

const server = new Program();
const guarded = new Program({ UNSPOOL_ACCESS: "keys" });
const [slow, quick] = ["slow", "quick"];
let key: string;
const pages: Page[] = [];

beforeAll(async () => {
  if (!IS_THERE) return;
  key = guarded.addKey();
  await Promise.all([server.start(), guarded.start()]);
  await server.model(slow, 0.03);
  await server.model(quick, 0);
  await guarded.model(slow, 0.06);
}, 60_000);
afterEach(() => {
  for (const page of pages.splice(0)) page.close();
  sessionStorage.clear();
});
afterAll(() => Promise.all([server.close(), guarded.close()]));

describe.skipIf(!IS_THERE).each([
  ["Vue", showInVue],
  ["React", showInReact],
])("in %s", (name, showIn) => {
  function show(options: RunOptions = {}, begin?: (actions: RunActions) => void): Page {
    const page = showIn({ url: `${server.url}/v1/runs`, ...options }, begin);
    pages.push(page);
    return page;
  }

  const middle = (page: Page) => until(() => page.now?.text.includes("word5"));
  const end = (page: Page) => until(() => page.now?.status === "completed" && !page.now.contact);
  const runs = async (): Promise<number> => (await server.ask("/v1/runs?limit=500")).runs.length;

  test("a page that begins a run when it appears has one run, and shows it to its end", async () => {
    const before = await runs();
    const [sent, begun] = [vi.fn(fetch), vi.fn()];
    const page = show({ fetch: sent }, ({ start }) => begun(start(asked(quick))));
    await end(page);
    expect(begun).toHaveBeenCalledTimes(name === "React" ? 2 : 1);
    expect(sent).toHaveBeenCalledTimes(1);
    expect(page.now).toMatchObject({ text: TEXT, isLive: false, error: null });
    expect(page.text()).toBe(TEXT);
    expect(page.now.steps).toMatchObject([{ name: "answer", text: TEXT, isFinished: true }]);
    expect(await runs()).toBe(before + 1);
    expect(page.now.text).toBe((await server.run(page.now.id)).text);
  });

  test("a refreshed page shows the whole text and follows it to its end", async () => {
    const first = show({ remember: "talk" }, ({ start }) => start(asked(slow)));
    await middle(first);
    first.close();
    const second = show({ remember: "talk" });
    await end(second);
    expect(second.now).toMatchObject({ id: first.now.id, text: TEXT });
    second.actions.reset();
    await until(() => second.now.status === "idle");
    expect(sessionStorage.length).toBe(0);
  });

  test("another name to remember shows the run of that name, and mixes no two", async () => {
    const [mine, theirs] = await Promise.all(
      ["mine", "theirs"].map((name) => server.ask("/v1/runs", asked(quick, name))),
    );
    sessionStorage.setItem("unspool mine", mine.id);
    sessionStorage.setItem("unspool theirs", theirs.id);
    const page = show({ remember: "mine" });
    if (!page.give) return; // in Vue the options of a component are those of its beginning
    await end(page);
    const url = `${server.url}/v1/runs`;
    page.give({ url, remember: "theirs" });
    await until(() => page.now.id === theirs.id && page.now.status === "completed");
    page.give({ url, remember: "nothing" });
    await until(() => page.now.status === "idle");
    expect(sessionStorage.getItem("unspool nothing")).toBeNull();
    expect(sessionStorage.getItem("unspool mine")).toBe(mine.id);
    sessionStorage.clear();
  });

  test("an address of another host in somebody's link gets no request and no key", async () => {
    const elsewhere = await serve(tellUntil(logOf(WORDS), 99));
    const { id } = await server.ask("/v1/runs", asked(quick));
    const options = { key: "usp_x" };
    const page = show(options, ({ follow }) => follow(`${elsewhere.url}/v1/runs/${id}/`));
    await end(page);
    expect(page.now).toMatchObject({ id, text: TEXT });
    expect(elsewhere.asked).toEqual([]);
    await elsewhere.close();
  });

  test("a run that is remembered and is there no more is forgotten", async () => {
    sessionStorage.setItem("unspool talk", "01m8f2t15j6kr184sqjbkgn7qb");
    const page = show({ remember: "talk" });
    await until(() => sessionStorage.length === 0);
    await until(() => page.now.status === "idle");
    expect(page.now.error).toBeNull();
  });

  test("a page that is closed leaves the run and does not stop it", async () => {
    const page = show({}, ({ start }) => start(asked(slow)));
    await middle(page);
    const { id } = page.now;
    page.close();
    await until(async () => (await server.ask(`/v1/runs/${id}/progress`)).viewers === 0);
    expect((await server.run(id)).status).toBe("running");
    await until(async () => (await server.run(id)).status === "completed");
    expect((await server.run(id)).text).toBe(TEXT);
  });

  test("stop stops the run for everybody, also before its id is known", async () => {
    const page = show({}, ({ start }) => start(asked(slow)));
    await middle(page);
    await page.actions.cancel();
    await until(() => page.now.status === "cancelled");
    expect(page.now.error).toMatchObject({ code: "cancelled" });
    const { id } = page.now;
    page.actions.start(asked(slow, "Again."));
    await Promise.resolve();
    await page.actions.cancel();
    await until(() => page.now.status === "cancelled" && page.now.id !== id);
    expect((await server.run(page.now.id)).status).toBe("cancelled");
  });

  test("a connection that is cut comes back to its place", async () => {
    const page = show({}, ({ start }) => start(asked(slow)));
    await middle(page);
    page.actions.disconnect();
    await until(() => page.now.contact === "away");
    const { text } = page.now;
    expect(page.now).toMatchObject({ isLive: true, status: "running" });
    page.actions.reconnect();
    await end(page);
    expect(page.now.text).toBe(TEXT);
    expect(TEXT.startsWith(text)).toBe(true);
  });

  test("a network that breaks and a POST without an answer are no errors", async () => {
    const log = logOf(WORDS);
    const served = await serve((response, facts) => {
      if (facts.number === 1) response.destroy();
      else tellUntil(log, 5 * facts.number)(response, facts);
    });
    const page = show({ url: `${served.url}/v1/runs` }, ({ start }) => start({}));
    await end(page);
    expect(page.now).toMatchObject({ text: TEXT, error: null });
    const starts = served.asked.filter(({ method }) => method === "POST");
    expect(starts).toHaveLength(2);
    expect(new Set(starts.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
    await served.close();
  });

  test("a question is answered from the page, and is open no more", async () => {
    await server.ask("/api/tools/1", { approve: true }, "PATCH");
    const input = { prompt: "北京和上海的天气？", tool_ids: [1] };
    const page = show({}, ({ start }) => start({ flow: "chat", model: "offline", input }));
    const answered: string[] = [];
    const open = () => page.now?.openQuestions.find(({ step }) => !answered.includes(step));
    for (const reply of ["answer", "decline"] as const) {
      await until(open);
      const { step = "" } = open() ?? {};
      answered.push(step);
      await page.actions[reply](undefined, step);
    }
    await end(page);
    expect(page.now.openQuestions).toEqual([]);
    expect(page.now.toolCalls).toHaveLength(2);
    expect(page.now.toolCalls.map(({ answer }) => answer?.code)).toEqual([null, "declined"]);
  });

  test("a refusal is an error of the page, which may ask again", async () => {
    const page = show({}, ({ start }) => start(asked("no-such-model")));
    await until(() => page.now?.error);
    expect(page.now).toMatchObject({ isLive: false, error: { status: 404 } });
    page.actions.start(asked(quick));
    await end(page);
    expect(page.now.error).toBeNull();
  });

  test("a ticket that holds no more is renewed, and the text goes on", async () => {
    const { id } = await guarded.ask("/v1/runs", asked(slow));
    const tickets: string[] = [];
    const ticket = async (url: string) => {
      const reply = await guarded.ask("/v1/tickets", { run: url.split("/").at(-1), ttl_s: 1 });
      tickets.push(reply.ticket);
      return { ticket: reply.ticket };
    };
    const page = show({ url: `${guarded.url}/v1/runs`, ticket }, ({ follow }) => follow(id));
    await middle(page);
    page.actions.disconnect();
    const headers = { authorization: `Bearer ${tickets[0]}` };
    const look = () => fetch(`${guarded.url}/v1/runs/${id}`, { headers });
    await until(async () => (await look()).status === 401);
    page.actions.reconnect();
    await end(page);
    expect(page.now.text).toBe(TEXT);
    expect(tickets.length).toBe(2);
    const owner = show({ url: `${guarded.url}/v1/runs`, key }, ({ follow }) => follow(id));
    await end(owner);
    expect(owner.now.text).toBe(TEXT);
  });

  test("thousands of events are some renders", async () => {
    const log = logOf(Array.from({ length: 5000 }, (_, number) => `word${number} `));
    const served = await serve(tellUntil(log, log.length));
    const page = show({ url: `${served.url}/v1/runs` }, ({ start }) => start({}));
    await end(page);
    expect(page.now.text).toContain("word4999");
    expect(page.renders).toBeLessThan(log.length / 20);
    await served.close();
  });
});

test("in Vue a run belongs to the effect scope around it, also without a component", async () => {
  const log = logOf(WORDS);
  let isLeft = false;
  const served = await serve((response) => {
    response.on("close", () => {
      isLeft = true;
    });
    begin(response);
    for (const event of log.slice(0, 9)) response.write(frameOf(event));
  });
  const run = runInScope({ url: `${served.url}/v1/runs` });
  run.start?.({});
  await until(() => run.read()?.includes("word5"));
  run.stop();
  await until(() => isLeft);
  await served.close();
});
