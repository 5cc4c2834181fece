/** Formulas as MathML, by KaTeX, which is loaded with the first one. Its source until then. */

import type { KatexOptions } from "katex";

type Katex = { render(source: string, into: HTMLElement, options: KatexOptions): void };

/** No links, no images, no classes of the model; sizes and macros that cannot fill the page. */
const LIMITS: KatexOptions = {
  output: "mathml",
  trust: false,
  throwOnError: true,
  strict: "ignore",
  maxSize: 20,
  maxExpand: 300,
};

let katex: Katex | null = null;
let isLoading = false;
const waiting = new Set<HTMLElement>();

export function formulaOf(source: string, isDisplay: boolean, raw: string): HTMLElement {
  const element = document.createElement("span");
  element.className = isDisplay ? "formula display" : "formula";
  element.dataset.source = source;
  element.textContent = raw.trim();
  if (katex === null) {
    waiting.add(element);
    void load();
  } else typeset(element);
  return element;
}

async function load(): Promise<void> {
  if (isLoading) return;
  isLoading = true;
  try {
    katex = (await import("katex")).default;
    for (const element of waiting) typeset(element);
    waiting.clear();
  } catch {
    isLoading = false; // without the server, the source stays
  }
}

function typeset(element: HTMLElement): void {
  const typeset = document.createElement("span");
  const displayMode = element.classList.contains("display");
  try {
    katex?.render(element.dataset.source ?? "", typeset, { ...LIMITS, displayMode });
  } catch {
    return; // not a formula that it knows: the source stays
  }
  element.replaceChildren(...typeset.childNodes);
}
