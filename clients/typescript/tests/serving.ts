/** `unspool serve` in a process of its own, which tests kill and start again. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const PROGRAM = process.env.UNSPOOL_BIN ?? join(import.meta.dirname, "../../../.venv/bin/unspool");
export const IS_THERE = existsSync(PROGRAM);
if (!IS_THERE) process.stderr.write(`live tests are SKIPPED: there is no ${PROGRAM}\n`);

const OURS = /^(LLM|UNSPOOL|OPENAI)_/;
const JSON_TYPE = { "content-type": "application/json" };

export const WORDS = Array.from({ length: 30 }, (_, number) => `word${number} `);

export class Program {
  url = "";

  readonly #dir = mkdtempSync(join(tmpdir(), "unspool-client-"));
  readonly #env: NodeJS.ProcessEnv;
  #process: ChildProcess | null = null;
  #headers: Record<string, string> = JSON_TYPE;

  constructor(settings: Readonly<Record<string, string>> = {}) {
    const given = Object.entries(process.env).filter(([name]) => !OURS.test(name));
    this.#env = { ...Object.fromEntries(given), UNSPOOL_SAY_CHARS_PER_S: "400", ...settings };
  }

  async start(): Promise<void> {
    const port = this.url ? new URL(this.url).port : "0";
    const argv = ["serve", "--port", port, "--data-dir", join(this.#dir, "data"), "--json"];
    const how = { cwd: this.#dir, env: this.#env };
    this.#process = spawn(PROGRAM, argv, { ...how, stdio: ["ignore", "pipe", "ignore"] });
    const lines = createInterface({ input: this.#process.stdout as NodeJS.ReadableStream });
    const [line] = await once(lines, "line");
    this.url = JSON.parse(line).url;
  }

  /** As a crash: nothing is flushed, nobody is told. */
  async kill(): Promise<void> {
    if (this.#process === null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
    this.#process = null;
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true });
  }

  /** Make a key that may do everything, and use it from now on. */
  addKey(): string {
    const argv = ["keys", "add", "test", "--scope", "admin", "--data-dir", join(this.#dir, "data")];
    const said = execFileSync(PROGRAM, argv, {
      ...{ cwd: this.#dir, env: this.#env, encoding: "utf8" as const },
      stdio: "pipe",
    });
    const key = /usp_[\w-]+/.exec(said)?.[0] ?? "";
    this.#headers = { ...JSON_TYPE, authorization: `Bearer ${key}` };
    return key;
  }

  // biome-ignore lint/suspicious/noExplicitAny: the JSON of a server.
  async ask(path: string, body?: unknown, method = body ? "POST" : "GET"): Promise<any> {
    const init = { method, headers: this.#headers };
    const reply = await fetch(
      this.url + path,
      body ? { ...init, body: JSON.stringify(body) } : init,
    );
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  }

  run(id: string | null) {
    return this.ask(`/v1/runs/${id}`);
  }

  /** Register a model that says its words with pauses, so that it can be left in the middle. */
  async model(name: string, pause_s: number, words = WORDS): Promise<string> {
    const end = [{ usage: { prompt_tokens: 3, completion_tokens: 30 } }, { finish: "stop" }];
    const attempt = [...words.flatMap((text) => [{ text }, { pause_s }]), ...end];
    const params = { script: { attempts: [attempt] } };
    await this.ask("/api/models", { name, provider: "scripted", params });
    return name;
  }
}
