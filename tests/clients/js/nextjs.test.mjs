// examples/nextjs (`run.py` installs it), built, served, and driven in Chromium: streams, refresh, stop.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Server, slow, TEXT } from "./server.mjs";

const HERE = join(import.meta.dirname, "../../../examples/nextjs");
const BROWSER = [process.env.CHROMIUM_PATH, "/usr/bin/chromium"].find((at) => at && existsSync(at));
const skip = !BROWSER && "no Chromium; set CHROMIUM_PATH";

const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1" };
let server;
let key;
let served;
let address;
let browser;

before(async () => {
  if (skip) return;
  server = await Server.start({ UNSPOOL_ACCESS: "keys" });
  await server.model("slow", slow());
  key = server.addKey("runs:read", "runs:write");
  const next = join(HERE, "node_modules/next/dist/bin/next");
  execFileSync(process.execPath, [next, "build"], { cwd: HERE, env, stdio: "pipe" });
  const words = [next, "start", "--port", "0", "--hostname", "127.0.0.1"];
  const ours = { ...env, UNSPOOL_URL: server.url, UNSPOOL_KEY: key };
  served = spawn(process.execPath, words, { cwd: HERE, env: ours, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: served.stdout })) {
    address = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
    if (address) break;
  }
  browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox"] });
}, { timeout: 240_000 });

after(async () => {
  await browser?.close();
  if (served) {
    const gone = once(served, "exit");
    served.kill();
    await gone;
  }
  await server?.close();
});

const LAST = "() => [...document.querySelectorAll('.assistant')].at(-1)?.textContent ?? ''";
const IS_OVER = "document.querySelector('form button')?.disabled === false";

async function open() {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const said = [];
  page.on("response", async (response) => {
    said.push(JSON.stringify([response.headers(), await response.text().catch(() => "")]));
  });
  await page.goto(address);
  return { page, said, close: () => context.close() };
}

async function ask(page, text) {
  await page.fill("input", text);
  await page.click("button:has-text('Ask')");
  await page.waitForFunction(`(${LAST})().includes('word3')`);
}

async function newest() {
  const { runs } = await (await fetch(`${server.url}/v1/runs`, { headers: server.headers })).json();
  return server.run(runs[0].id);
}

test("an answer streams, and a refresh in its middle shows it whole", { skip }, async () => {
  const { page, said, close } = await open();
  await ask(page, "hello");
  assert.notEqual(await page.evaluate(`(${LAST})()`), TEXT, "it is shown while it is written");
  await page.reload();
  await page.waitForFunction(`(${LAST})().includes('word29')`);
  await page.waitForFunction(IS_OVER);
  assert.equal(await page.evaluate(`(${LAST})()`), TEXT);
  const lines = await page.$$eval("p", (all) => all.map((each) => each.className));
  assert.deepEqual(lines, ["user", "assistant"]);
  assert.equal((await newest()).status, "completed");
  await page.reload();
  await page.waitForFunction(`(${LAST})().includes('word29')`);
  assert.equal((await page.$$("p")).length, 2);
  assert.ok(said.length > 3);
  assert.ok(!said.some((each) => each.includes(key)), "the key stays with the server");
  await close();
});

test("stop stops the run at the server", { skip }, async () => {
  const { page, close } = await open();
  await ask(page, "hello again");
  await page.click("button:has-text('Stop')");
  await page.waitForFunction(IS_OVER);
  const run = await newest();
  assert.equal(run.status, "cancelled");
  assert.ok(run.text.length < TEXT.length);
  await close();
});

test("stop in the first moment in which it is offered stops the run", { skip }, async () => {
  const { page, close } = await open();
  await page.evaluate(() => {
    const stop = document.querySelector("button[type=button]");
    new MutationObserver(() => {
      if (stop.disabled || window.hasStopped) return;
      window.hasStopped = true;
      stop.click();
    }).observe(stop, { attributes: true });
  });
  await page.fill("input", "hello once more");
  await page.click("button:has-text('Ask')");
  await page.waitForFunction("window.hasStopped");
  await page.waitForFunction(IS_OVER);
  assert.equal((await newest()).status, "cancelled");
  await close();
});

test("a leaving page does not stop the run", { skip }, async () => {
  const { page, close } = await open();
  await ask(page, "and again");
  await close();
  const { id } = await newest();
  const events = await fetch(`${server.url}/v1/runs/${id}/events`, { headers: server.headers });
  await events.text();
  assert.equal((await server.run(id)).text, TEXT);
});

test("the route passes on nothing but chats", { skip }, async () => {
  for (const path of ["x/y", "x/stream/z", "%2e%2e/%2e%2e/runs", "..%2f..%2fruns/stream"]) {
    const reply = await fetch(`${address}/api/chat/${path}`);
    assert.equal(reply.status, 404, path);
  }
});
