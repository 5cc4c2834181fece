/** Where the seams of a text stand in its Markdown. */

import type { Passage } from "@/live/runModel";
import type { Seam } from "@/timeline/fold";

export interface Mark {
  /** The seam's number in its text, from 0. */
  readonly number: number;
  readonly at: number;
  readonly seam: Seam;
  readonly sign: string;
}

const FIRST = 0xfdd0;
const COUNT = 32;
/** Two of these beside each other are no sign of Markdown, unless both are spaces. */
const PLAIN = /[\p{L} ，。；：！？、]/u;

/**
 * The marks of a text. Each stands at its seam, or behind it between two letters, where it changes
 * no meaning: between two signs of Markdown it could. Infinity while there is no such place.
 */
export function marksOf(passage: Passage): readonly Mark[] {
  const { text } = passage.step;
  const seams = passage.spans.flatMap(({ start, seam }) =>
    seam === null ? [] : [{ start, seam }],
  );
  return seams.map(({ start, seam }, number) => {
    const sign = String.fromCharCode(FIRST + (number % COUNT));
    return { number, at: placeIn(text, start), seam, sign };
  });
}

function placeIn(text: string, start: number): number {
  for (let at = Math.max(start, 1); at < text.length; at += 1) {
    const [before, after] = [text[at - 1] ?? "", text[at] ?? ""];
    if (PLAIN.test(before) && PLAIN.test(after) && before + after !== "  ") return at;
  }
  return Number.POSITIVE_INFINITY;
}

/** The text from `from` on with its marks; signs that the model itself wrote become �. */
export function markedText(text: string, from: number, marks: readonly Mark[]): string {
  let marked = "";
  let place = from;
  for (const mark of marks) {
    if (mark.at < from || mark.at > text.length) continue;
    marked += clean(text.slice(place, mark.at)) + mark.sign;
    place = mark.at;
  }
  return marked + clean(text.slice(place));
}

const clean = (text: string) => text.replace(/[\ufdd0-\ufdef]/g, "\ufffd");
