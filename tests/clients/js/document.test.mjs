// The programs of docs/clients.md, as they stand.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Server } from "./server.mjs";

const HERE = import.meta.dirname;
const text = readFileSync(join(HERE, "../../../docs/clients.md"), "utf8");
const programs = [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);
// A hook runs in a page: examples/nextjs has the same, and is driven there.
const whole = programs.filter((code) => !code.includes("@ai-sdk/react"));

let server;

before(async () => {
  server = await Server.start();
});
after(() => server.close());

test("the document has programs", () => {
  assert.equal(whole.length, programs.length - 1);
  assert.ok(whole.length >= 4);
});

for (const program of whole) {
  const [, name] = /from "([^"]+)"/.exec(program);
  test(`the program with ${name} prints something and ends`, async () => {
    const code = program.replaceAll("http://127.0.0.1:8000", server.url);
    const argv = ["--input-type=module", "-e", code];
    const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: HERE, timeout: 40_000 });
    assert.ok(stdout.length > 10, stdout);
  });
}
