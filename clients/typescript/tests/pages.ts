/** A page of Vue and one of React, each with one component that shows a run. */

import { Window } from "happy-dom";
import type { RunActions, RunOptions, RunState } from "../src/watched.ts";

// Before Vue and React are loaded, which look for a document then. The `fetch` stays that of Node,
// which asks a real server.
const window = new Window({ url: "http://127.0.0.1/" });
const NAMES = ["document", "Element", "SVGElement", "HTMLIFrameElement"] as const;
for (const name of NAMES) Object.assign(globalThis, { [name]: window[name] });
Object.assign(globalThis, {
  window,
  sessionStorage: window.sessionStorage,
  requestAnimationFrame: (act: () => void) => window.requestAnimationFrame(act),
  cancelAnimationFrame: (frame: never) => window.cancelAnimationFrame(frame),
});

const { createElement, StrictMode, useEffect, useRef } = await import("react");
const { createRoot } = await import("react-dom/client");
const { createApp, effectScope, h, onMounted } = await import("vue");
const react = await import("../src/react.ts");
const vue = await import("../src/vue.ts");

export interface Page {
  /** What the component shows now. */
  readonly now: RunState;
  readonly actions: RunActions;
  /** How often it was rendered. */
  renders: number;
  /** The text of the document. */
  text(): string;
  close(): void;
  /** Render the component with other options; in React alone. */
  give?(options: RunOptions): void;
}

/** Show a run; `begin` is what the component does when it is there. */
export type Show = (options: RunOptions, begin?: (actions: RunActions) => void) => Page;

interface Props {
  readonly page: { -readonly [Name in keyof Page]: Page[Name] };
  readonly options: RunOptions;
  readonly begin: ((actions: RunActions) => void) | undefined;
}

function ShownRun({ page, options, begin }: Props) {
  const run = react.useRun(options);
  const element = useRef<HTMLElement>(null);
  useEffect(() => begin?.(run), []);
  Object.assign(page, { now: run, actions: run, renders: page.renders + 1 });
  page.text = () => element.current?.textContent ?? "";
  return createElement("p", { ref: element }, run.text);
}

/** In StrictMode, as people develop: it mounts, leaves and mounts again at once. */
export const showInReact: Show = (options, begin) => {
  const root = createRoot(document.body.appendChild(document.createElement("main")));
  const page = { renders: 0, close: () => root.unmount() } as Page;
  page.give = (options) =>
    root.render(createElement(StrictMode, null, createElement(ShownRun, { page, options, begin })));
  page.give(options);
  return page;
};

export const showInVue: Show = (options, begin) => {
  const root = document.body.appendChild(document.createElement("main"));
  const page = { renders: 0, text: () => root.textContent } as Page;
  const app = createApp({
    setup() {
      // biome-ignore lint/correctness/useHookAtTopLevel: in Vue this is where it stands.
      const run = vue.useRun(options);
      onMounted(() => begin?.(run));
      return () => {
        const now = Object.entries(run).map(([name, ref]) => [name, (ref as never as Ref).value]);
        Object.assign(page, {
          now: Object.fromEntries(now),
          actions: run,
          renders: page.renders + 1,
        });
        return h("p", run.text.value);
      };
    },
  });
  app.mount(root);
  page.close = () => app.unmount();
  return page;
};

type Ref = { value: unknown };

/** A run in an effect scope, without a component: `read` is its text. */
export function runInScope(options: RunOptions) {
  const scope = effectScope();
  const run = scope.run(() => vue.useRun(options));
  return { start: run?.start, read: () => run?.text.value, stop: () => scope.stop() };
}
