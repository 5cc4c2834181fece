import { expect, test } from "vitest";
import { inOrder, newest } from "../src/data/newest";

/** Questions whose answers come when the test says so. */
function asked() {
  const answers: ((text: string) => void)[] = [];
  const ask = () => new Promise<string>((resolve) => answers.push(resolve));
  return { ask, come: (at: number, text: string) => answers[at]?.(text) };
}

test("only the newest question is the newest", () => {
  const asking = newest();
  const isFirst = asking();
  expect(isFirst()).toBe(true);
  const isSecond = asking();
  expect([isFirst(), isSecond()]).toEqual([false, true]);
});

test("an older answer does not take the place of a newer one, and an earlier one is shown", async () => {
  const { ask, come } = asked();
  const shown: string[] = [];
  const read = inOrder(ask, (text) => shown.push(text));
  const all = [read(), read(), read()];
  come(0, "first");
  await all[0];
  come(2, "third");
  await all[2];
  come(1, "second");
  await all[1];
  expect(shown).toEqual(["first", "third"]);
});
