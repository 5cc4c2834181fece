import { expect, test } from "vitest";
import { diff } from "../src/text/diff";

const told = (before: string, after: string) =>
  diff(before, after).map(
    ({ kind, text }) => ({ same: text, out: `-${text}`, in: `+${text}` })[kind],
  );

test.each([
  ["", "", []],
  ["鞋", "鞋", ["鞋"]],
  ["", "新", ["+新"]],
  ["旧", "", ["-旧"]],
  ["读了两遍，压好", "读了两遍，叠好，压好", ["读了两遍，", "+叠好，", "压好"]],
  ["the old word", "the new word", ["the ", "-old", "+new", " word"]],
])("%s becomes %s", (before, after, pieces) => {
  expect(told(before, after)).toEqual(pieces);
});

test("whatever the texts are, both can be read from the difference", () => {
  let seed = 11;
  const next = (below: number) => {
    seed = (seed * 16807) % 2147483647;
    return seed % below;
  };
  const letters = () => Array.from({ length: next(40) }, () => "甲乙丙 ab\n"[next(7)]).join("");
  for (let turn = 0; turn < 300; turn += 1) {
    const [before, after] = [letters(), letters()];
    const pieces = diff(before, after);
    const side = (left: string) =>
      pieces
        .filter(({ kind }) => kind !== left)
        .map(({ text }) => text)
        .join("");
    expect([side("in"), side("out")]).toEqual([before, after]);
  }
});
