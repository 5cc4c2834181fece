/**
 * A model's Markdown on the page while it arrives. Blocks that have ended are not touched again;
 * the last one is parsed anew and its nodes are made like the new ones.
 */

import { wantFrame } from "@/live/frame";
import type { Passage } from "@/live/runModel";
import type { Hue } from "@/timeline/hues";
import { placeNotes } from "../notes";
import { frayOf, make, noteOf, stitchOf, type WriteOptions } from "../signs";
import { morph } from "./morph";
import { NodeMaker } from "./nodes";
import { blocksOf } from "./parse";
import { type Mark, markedText, marksOf } from "./seams";

/** A long text is parsed in parts of this many characters, or of one block. */
const PART_CHARS = 16_000;

/** After a drawing that took longer than this, it waits so many times as long. */
const QUICK_MS = 8;
const REST_TIMES = 5;

export class MarkdownWriter {
  readonly #root: HTMLElement;
  readonly #margin: HTMLElement | null;
  readonly #caret = make("i", "caret");
  readonly #fray = frayOf();
  readonly #notes = new Map<number, HTMLDetailsElement>();
  #passage: Passage | null = null;
  #revision = 0;
  #shown = 0;
  /** Where the blocks that have not ended begin: in the text, and among the root's children. */
  #openAt = 0;
  #ended = 0;
  #nextMs = 0;

  constructor(root: HTMLElement, margin: HTMLElement | null) {
    this.#root = root;
    this.#margin = margin;
    this.#caret.setAttribute("aria-hidden", "true");
  }

  write(passage: Passage, manner: WriteOptions): void {
    const { text } = passage.step;
    if (
      passage !== this.#passage ||
      passage.revision !== this.#revision ||
      text.length < this.#shown
    ) {
      this.#begin(passage);
    }
    if (text.length > this.#shown && (manner.caret === "none" || this.#isDue())) {
      const begunMs = performance.now();
      this.#shown = text.length;
      this.#draw(passage, text, manner);
      const nowMs = performance.now();
      const tookMs = nowMs - begunMs;
      this.#nextMs = tookMs > QUICK_MS ? nowMs + REST_TIMES * tookMs : 0;
    }
    this.#end(manner, passage.spans.at(-1)?.hue ?? "d");
  }

  /** Place gutters and notes; this needs the final line breaks. */
  layout(): void {
    if (this.#margin !== null) {
      const wanted = [...this.#notes].flatMap(([number, note]) => {
        const stitch = this.#root.querySelector(`[data-seam="${number}"]`);
        return stitch === null ? [] : [{ note, top: topOf(stitch, this.#root) - 4 }];
      });
      placeNotes(this.#margin, wanted);
    }
    for (const stitch of this.#root.querySelectorAll(".stitch")) this.#split(stitch);
  }

  /** The writer changes at a stitch, and so does the colour of the gutter beside it. */
  #split(stitch: Element): void {
    const block = stitch.closest(".blk");
    if (block === null) return;
    const gutters = [...block.querySelectorAll<HTMLElement>(":scope > .gut")];
    const place = [...block.querySelectorAll(".stitch")].indexOf(stitch);
    const [before, after] = [gutters[place], gutters[place + 1]];
    const y = topOf(stitch, block) + 8;
    if (before) before.style.bottom = `calc(100% - ${y - 10}px)`;
    if (after) after.style.top = `${y}px`;
  }

  #isDue(): boolean {
    const leftMs = this.#nextMs - performance.now();
    if (leftMs > 0) setTimeout(wantFrame, leftMs);
    return leftMs <= 0;
  }

  #begin(passage: Passage): void {
    this.#passage = passage;
    this.#revision = passage.revision;
    this.#root.replaceChildren();
    this.#margin?.replaceChildren();
    this.#notes.clear();
    this.#shown = this.#openAt = this.#ended = this.#nextMs = 0;
  }

  #draw(passage: Passage, text: string, manner: WriteOptions): void {
    this.#caret.remove();
    this.#fray.remove();
    const marks = marksOf(passage);
    let size = PART_CHARS;
    for (let isWhole = false; !isWhole;) {
      const begun = this.#openAt;
      isWhole = begun + size >= text.length;
      const part = isWhole ? text : text.slice(0, begun + size);
      this.#drawPart(passage, part, { marks, isWhole }, manner);
      size = this.#openAt === begun ? 2 * size : PART_CHARS;
    }
    if (marks.length > 0) {
      this.#note(marks, manner);
      this.layout();
    }
  }

  /** Draw the blocks of a text from the first one that has not ended. */
  #drawPart(
    passage: Passage,
    text: string,
    { marks, isWhole }: { marks: readonly Mark[]; isWhole: boolean },
    manner: WriteOptions,
  ): void {
    const { tokens, isExact, last } = blocksOf(markedText(text, this.#openAt, marks));
    let [at, place] = [this.#openAt, this.#ended];
    tokens.forEach((token, number) => {
      const signs = token.raw.match(/[\ufdd0-\ufdef]/g) ?? [];
      const end = at + token.raw.length - signs.length;
      if (token.type !== "space") {
        const inside = marks.filter((mark) => mark.at >= at && mark.at <= end);
        const isEnd = isWhole && number === last;
        const lost = isEnd ? marks.filter((mark) => mark.at > text.length) : [];
        const next = this.#block(passage, token, at, { inside, lost }, manner);
        const old = this.#root.children[place];
        if (old === undefined) this.#root.append(next);
        else morph(old, next);
        place += 1;
      }
      at = end;
      if (isExact && number < last) [this.#openAt, this.#ended] = [at, place];
    });
    while (this.#root.children.length > place) this.#root.lastElementChild?.remove();
  }

  #block(
    passage: Passage,
    token: Parameters<NodeMaker["block"]>[0],
    at: number,
    { inside, lost }: { inside: readonly Mark[]; lost: readonly Mark[] },
    manner: WriteOptions,
  ): HTMLElement {
    const block = make("div", "blk");
    const missing = new Set([...inside.filter(({ sign }) => token.raw.includes(sign)), ...lost]);
    const hue = passage.spans.findLast((span) => span.start <= at)?.hue ?? "d";
    const hues: Hue[] = [hue];
    const signOf = (mark: Mark) => {
      missing.delete(mark);
      hues.push(passage.spans.find((span) => span.seam === mark.seam)?.hue ?? hue);
      const stitch = stitchOf(manner.stitchLabel(mark.seam));
      stitch.dataset.seam = String(mark.number);
      return stitch;
    };
    const stitch = (sign: string) => {
      const mark = inside.find((each) => each.sign === sign && missing.has(each));
      return mark === undefined ? null : signOf(mark);
    };
    const node = new NodeMaker({ copyLabel: manner.copyLabel, stitch }).block(token);
    block.append(node);
    // A mark in an address or a formula has no place there.
    for (const mark of [...missing]) endOf(block).append(signOf(mark));
    block.prepend(...hues.map((each) => make("i", `gut ${each}`)));
    return block;
  }

  #note(marks: readonly Mark[], manner: WriteOptions): void {
    if (this.#margin === null || manner.note === undefined) return;
    for (const mark of marks) {
      if (this.#notes.has(mark.number)) continue;
      const note = noteOf(manner.note(mark.seam));
      this.#margin.append(note);
      this.#notes.set(mark.number, note);
    }
  }

  #end(manner: WriteOptions, hue: Hue): void {
    const tail = manner.isFrayed ? this.#fray : manner.caret === "none" ? null : this.#caret;
    if (tail !== this.#caret) this.#caret.remove();
    if (tail !== this.#fray) this.#fray.remove();
    if (tail === null) return;
    this.#caret.className = `caret ${manner.caret === "wait" ? "wait" : hue}`;
    if (tail.parentElement !== null) return;
    if (this.#root.lastElementChild === null) {
      const block = make("div", "blk");
      block.append(make("i", `gut ${hue}`), make("p"));
      this.#root.append(block);
    }
    endOf(this.#root.lastElementChild as Element).append(tail);
  }
}

/** The element in which the text of a block ends. */
function endOf(block: Element): Element {
  const holders = [...block.querySelectorAll("p, li, td, th, pre > code, h3, h4, h5, h6")];
  return holders.at(-1) ?? block;
}

function topOf(part: Element, whole: Element): number {
  return part.getBoundingClientRect().top - whole.getBoundingClientRect().top;
}
