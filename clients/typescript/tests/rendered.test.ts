/** Components that a server renders: no window, nothing is sent, and the page begins as idle. */

import { createElement, useEffect } from "react";
import { renderToString as renderReact } from "react-dom/server";
import { afterEach, expect, test, vi } from "vitest";
import { createSSRApp, h } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";
import { useRun as useReactRun } from "../src/react.ts";
import { useRun as useVueRun } from "../src/vue.ts";

const asked = vi.spyOn(globalThis, "fetch");
afterEach(() => {
  expect(asked).not.toHaveBeenCalled();
  expect("window" in globalThis).toBe(false);
});

test("Vue renders it on a server, also where setup begins a run", async () => {
  const app = createSSRApp({
    setup() {
      // biome-ignore lint/correctness/useHookAtTopLevel: in Vue this is where it stands.
      const run = useVueRun({ url: "http://127.0.0.1:9/v1/runs", remember: "talk" });
      run.start({ input: {} });
      return () => h("p", `${run.status.value}${run.text.value}`);
    },
  });
  expect(await renderVue(app)).toBe("<p>idle</p>");
});

function ShownRun() {
  const run = useReactRun({ url: "http://127.0.0.1:9/v1/runs", remember: "talk" });
  useEffect(() => run.start({ input: {} }));
  return createElement("p", null, run.status, run.text);
}

test("React renders it on a server", () => {
  expect(renderReact(createElement(ShownRun))).toBe("<p>idle</p>");
});
