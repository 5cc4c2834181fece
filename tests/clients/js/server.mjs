// A real server in a process of its own, which tests can kill and start again.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const UNSPOOL = process.env.UNSPOOL ?? "unspool";
const OURS = /^(LLM_|UNSPOOL_|OLLAMA_|OTEL_|OPENAI_|ANTHROPIC_)/;

export const WORDS = Array.from({ length: 30 }, (_, number) => `word${number} `);
export const TEXT = WORDS.join("");

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

export class Server {
  headers = { "content-type": "application/json" };

  static async start(settings = {}) {
    const server = new Server();
    server.settings = settings;
    server.folder = mkdtempSync(join(tmpdir(), "unspool-clients-"));
    if (settings.UNSPOOL_ACCESS === "keys") {
      server.headers.authorization = `Bearer ${server.addKey("admin")}`;
    }
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    await server.open();
    return server;
  }

  get env() {
    const given = Object.entries(process.env).filter(([name]) => !OURS.test(name));
    const ours = { UNSPOOL_RETRIES: "0", UNSPOOL_LOG_LEVEL: "ERROR", ...this.settings };
    return { ...Object.fromEntries(given), ...ours };
  }

  addKey(...scopes) {
    const words = ["keys", "add", "test", "--json", "--data-dir", join(this.folder, "data")];
    for (const scope of scopes) words.push("--scope", scope);
    return JSON.parse(execFileSync(UNSPOOL, words, { env: this.env, stdio: "pipe" })).key;
  }

  async open() {
    const words = ["serve", "--port", `${this.port}`, "--json"];
    words.push("--data-dir", join(this.folder, "data"), "--no-sample-data");
    const stdio = ["ignore", "ignore", "inherit"];
    this.process = spawn(UNSPOOL, words, { env: this.env, stdio });
    for (let tries = 0; tries < 400; tries++) {
      const reply = await fetch(`${this.url}/healthz`).catch(() => null);
      if (reply?.ok) return;
      if (this.process.exitCode !== null) throw new Error("the server has ended");
      await sleep(50);
    }
    throw new Error("the server does not start");
  }

  // As a crash: nothing is flushed, nobody is told.
  async kill() {
    this.process.kill("SIGKILL");
    await once(this.process, "exit");
  }

  async restart() {
    await this.kill();
    await this.open();
  }

  async close() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  post(path, body) {
    return this.send("POST", path, body);
  }

  async send(method, path, body) {
    const init = { method, headers: this.headers, body: JSON.stringify(body) };
    const reply = await fetch(this.url + path, init);
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  }

  async run(id) {
    return (await fetch(`${this.url}/v1/runs/${id}`, { headers: this.headers })).json();
  }

  // A model that plays a script; see the provider `scripted`.
  async model(name, ...attempts) {
    const params = { script: { attempts } };
    await this.post("/api/models", { name, provider: "scripted", params });
    return name;
  }
}

// Words with pauses, so that a client can be cut in the middle.
export function slow(pause = 0.05) {
  return [...WORDS.flatMap((text) => [{ text }, { pause_s: pause }]), ...end];
}

export const end = [{ usage: { prompt_tokens: 3, completion_tokens: 30 } }, { finish: "stop" }];

export async function until(isSo, within = 10_000) {
  const ends = Date.now() + within;
  while (!(await isSo())) {
    if (Date.now() > ends) throw new Error("it has not come true");
    await sleep(20);
  }
}
