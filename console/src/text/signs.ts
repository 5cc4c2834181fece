/** What stands in a model's text besides its words: stitches, frayed ends, notes in the margin. */

import { STITCH } from "@/styles/shapes";
import type { Seam } from "@/timeline/fold";

export interface SeamNote {
  readonly title: string;
  readonly lines: readonly string[];
}

export interface WriteOptions {
  /** Steady while text arrives, waiting while it stalls. */
  readonly caret: "steady" | "wait" | "none";
  readonly isFrayed: boolean;
  readonly copyLabel: string;
  readonly stitchLabel: (seam: Seam) => string;
  /** The note in the margin beside a stitch, if there is a margin. */
  readonly note?: (seam: Seam) => SeamNote;
}

const SVG = "http://www.w3.org/2000/svg";
const FRAY = "M0 7h6M6 7c3 0 4-3.4 7-4M6 7h7M6 7c3 0 4 3.4 7 4";

export function make(tag: string, className = ""): HTMLElement {
  const element = document.createElement(tag);
  if (className) element.className = className;
  return element;
}

export function stitchOf(label: string): HTMLElement {
  const stitch = make("span", "stitch");
  stitch.setAttribute("role", "note");
  stitch.setAttribute("aria-label", label);
  stitch.append(drawing(STITCH, 17, 15, 2));
  return stitch;
}

export function frayOf(): HTMLElement {
  const fray = make("span", "fray");
  fray.append(drawing(FRAY, 14, 14, 1.5));
  return fray;
}

export function noteOf({ title, lines }: SeamNote): HTMLDetailsElement {
  const note = document.createElement("details");
  note.className = "note";
  const heading = make("summary");
  heading.textContent = title;
  note.append(heading);
  for (const line of lines) {
    const row = make("span");
    row.textContent = line;
    note.append(row);
  }
  return note;
}

function drawing(path: string, width: number, height: number, stroke: number): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "path");
  const set = (element: Element, facts: Record<string, string | number>) => {
    for (const [name, value] of Object.entries(facts)) element.setAttribute(name, String(value));
  };
  set(svg, { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  set(line, {
    d: path,
    fill: "none",
    stroke: "currentColor",
    "stroke-width": stroke,
    "stroke-linecap": "round",
  });
  svg.append(line);
  return svg;
}
