import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { en } from "../src/i18n/en";
import { money, shortId } from "../src/i18n/format";
import { zh } from "../src/i18n/zh";

type Tree = { [name: string]: string | Tree };

function leaves(tree: Tree, path = ""): [string, string][] {
  return Object.entries(tree).flatMap(([name, value]): [string, string][] =>
    typeof value === "string" ? [[path + name, value]] : leaves(value, `${path}${name}.`),
  );
}

const both = { zh: leaves(zh), en: leaves(en as unknown as Tree) };

test("both languages have the same words, with the same things to fill in", () => {
  const holes = (words: string) => [...words.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  expect(both.en.map(([path]) => path)).toEqual(both.zh.map(([path]) => path));
  for (const [at, [path, words]] of both.zh.entries()) {
    expect(holes(both.en[at]?.[1] ?? ""), path).toEqual(holes(words));
  }
});

const SOURCE = join(import.meta.dirname, "../src");

const source = readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(vue|ts)$/.test(name) && !/^i18n[\\/](pages|zh|en)/.test(name))
  .map((name) => readFileSync(join(SOURCE, name), "utf8"))
  .join("\n");

test("every word has a place that shows it", () => {
  const literal = new Set(
    [...source.matchAll(/["'`]([a-z]\w*(?:\.\w+)+)["'`]/g)].map(([, it]) => it),
  );
  const begun = [...source.matchAll(/`([a-z]\w*\.[\w.]*)\$\{/g)].map(([, it]) => it as string);
  const unused = both.zh
    .map(([path]) => path)
    .filter((path) => !literal.has(path) && !begun.some((start) => path.startsWith(start)));
  expect(unused).toEqual([]);
});

test("every word that a page asks for is there", () => {
  const known = new Set(both.zh.map(([path]) => path));
  const asked = [...source.matchAll(/\b(?:t|te)\(\s*"([a-zA-Z]\w*(?:\.\w+)+)"/g)].map(
    ([, it]) => it,
  );
  expect(asked.filter((path) => !known.has(path as string))).toEqual([]);
});

test("nobody is told to be sorry, to wait, or with an exclamation mark", () => {
  for (const [path, words] of [...both.zh, ...both.en]) {
    expect(words, path).not.toMatch(/抱歉|请稍候|[!！]|oops|sorry|please wait/i);
  }
});

test("what the contracts fix is the same in both languages", () => {
  const fixed = { "story.make": "AI生成", "story.busy": "执行中..." };
  for (const [path, words] of Object.entries(fixed)) {
    for (const listed of Object.values(both)) expect(listed).toContainEqual([path, words]);
  }
});

test.each([
  [0, "CNY", "¥0"],
  [0.000222, "CNY", "¥0.00022"],
  [0.0131, "USD", "$0.013"],
  [1234.5, "CHF", "CHF 1234.50"],
])("%d %s is told as %s", (amount, currency, told) => {
  expect(money({ amount, currency })).toBe(told);
});

test("a long id is told by its ends", () => {
  expect(shortId("01m8ade2xn8rf8cantazp3fn24")).toBe("01m8ad…fn24");
});
