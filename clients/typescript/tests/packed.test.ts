/** What `npm pack` makes, in the project of somebody who has nothing else of us. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { IS_THERE, Program } from "./serving.ts";

const HERE = join(import.meta.dirname, "..");
const TSC = join(HERE, "node_modules/typescript/bin/tsc");
const PEERS = ["vue", "react", "@types/react", "csstype"];

const PROGRAM = `
import { openRun } from "unspool-client";
import { shareRun } from "unspool-client/shared";
import { SSEClient } from "unspool-client/seeds";

const body = { flow: "chat", model: "offline", input: { prompt: "Hello" } };
const run = openRun(process.argv[2] + "/v1/runs", { body });
for await (const event of run) if (event.seq === 1) console.log(event.type);
console.log(run.state.status, run.state.text.length > 0, typeof shareRun, typeof SSEClient);
`;

const TYPED = `
import { openRun, type RunEvent, UnspoolError } from "unspool-client";
import { shareRun } from "unspool-client/shared";
import { createStageStreamClient } from "unspool-client/seeds";

export async function read(url: string): Promise<string> {
  const run = openRun(url, { body: {}, ticket: async () => ({ ticket: "t" }) });
  const events: RunEvent[] = [];
  for await (const event of run) events.push(event);
  const left: number | null = run.state.leftS;
  return \`\${left} \${run.state.steps.get("answer")?.text} \${UnspoolError.name}\`;
}
export const parts = [shareRun, createStageStreamClient];
// @ts-expect-error: it has no such option, and that is known here.
openRun("/v1/runs", { kee: "" });
`;

const COMPONENTS = `
import { useRun as useReactRun } from "unspool-client/react";
import { useRun, type RunState } from "unspool-client/vue";

const { text, start, cancel, openQuestions } = useRun({ remember: "talk" });
export const shown: string = text.value + openQuestions.value.length;
start({ input: {} });
export const stopped: Promise<void> = cancel();
export const state: RunState = useReactRun({ key: "usp_x" });
// @ts-expect-error: what is shown is not written to.
text.value = "";
`;

let stranger: string;

function run(program: string, argv: readonly string[], cwd = stranger): string {
  try {
    return execFileSync(program, argv, { cwd, encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    throw new Error(`${(error as { stdout: string }).stdout}${error}`);
  }
}

beforeAll(() => {
  stranger = mkdtempSync(join(tmpdir(), "unspool-stranger-"));
  const packed = run("npm", ["pack", "--json", "--pack-destination", stranger], HERE);
  const [{ filename }] = Object.values(JSON.parse(packed.slice(packed.search(/^[[{]/m)))) as [
    { filename: string },
  ];
  writeFileSync(join(stranger, "package.json"), '{"private": true, "type": "module"}');
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--no-save", `./${filename}`]);
}, 60_000);

afterAll(() => rmSync(stranger, { recursive: true }));

const compile = (resolution: string, files: readonly string[]) => {
  const module = resolution === "nodenext" ? "nodenext" : "esnext";
  const how = { strict: true, noEmit: true, skipDefaultLibCheck: true, types: [], module };
  const compilerOptions = { ...how, moduleResolution: resolution, target: "es2022" };
  const project = { compilerOptions, files };
  writeFileSync(join(stranger, "tsconfig.json"), JSON.stringify(project));
  return run(process.execPath, [TSC, "-p", "."]);
};

test("it has what a project needs of it, and nothing of how it was made", () => {
  const inside = run("find", [".", "-type", "f"], join(stranger, "node_modules/unspool-client"));
  const files = inside.trim().split("\n").sort();
  expect(files.filter((file) => !file.startsWith("./dist/"))).toEqual([
    "./LICENSE",
    "./README.md",
    "./package.json",
  ]);
  const others = files.filter(
    (file) => file.startsWith("./dist/") && !/(\.js|\.d\.ts)$/.test(file),
  );
  expect(others).toEqual([]);
  const license = readFileSync(join(HERE, "../../LICENSE"), "utf8");
  expect(readFileSync(join(HERE, "LICENSE"), "utf8")).toBe(license);
});

test.skipIf(!IS_THERE)(
  "Node follows a run to its end with it",
  async () => {
    const server = new Program();
    onTestFinished(() => server.close());
    await server.start();
    writeFileSync(join(stranger, "main.js"), PROGRAM);
    const said = run(process.execPath, ["main.js", server.url]);
    expect(said).toBe("run.started\ncompleted true function function\n");
  },
  20_000,
);

test("its types are whole in a strict project that has a bundler, without Vue and React", () => {
  writeFileSync(join(stranger, "typed.ts"), TYPED);
  compile("bundler", ["typed.ts"]);
}, 40_000);

test("its types are whole in a strict project of Node, beside Vue and React", () => {
  mkdirSync(join(stranger, "node_modules/@types"), { recursive: true });
  for (const peer of PEERS) {
    symlinkSync(join(HERE, "node_modules", peer), join(stranger, "node_modules", peer));
  }
  writeFileSync(join(stranger, "typed.ts"), TYPED);
  writeFileSync(join(stranger, "components.ts"), COMPONENTS);
  compile("nodenext", ["typed.ts", "components.ts"]);
}, 40_000);
