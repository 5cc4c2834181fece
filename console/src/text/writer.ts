/**
 * A model's text on the page: as text and never as anything else.
 *
 * The open paragraph is one text node that grows; closed ones are not touched again. The model's
 * text only goes into `data` of text nodes, so a tag in it never becomes an element.
 */

import type { Passage } from "@/live/runModel";
import type { Seam } from "@/timeline/fold";
import type { Hue } from "@/timeline/hues";
import { placeNotes } from "./notes";
import { frayOf, make, noteOf, stitchOf, type WriteOptions } from "./signs";

const BREAKS = /((?:\r?\n)+)/;

export class TextWriter {
  readonly #root: HTMLElement;
  readonly #margin: HTMLElement | null;
  readonly #caret = make("i", "caret");
  readonly #fray = frayOf();
  #passage: Passage | null = null;
  #revision = 0;
  #shown = 0;
  #spans = 0;
  #hue: Hue = "d";
  #paragraph: HTMLElement | null = null;
  #node: Text | null = null;
  #breaks = 0;
  readonly #stitches: {
    stitch: HTMLElement;
    gutter: HTMLElement;
    before: HTMLElement;
    note: HTMLDetailsElement | null;
  }[] = [];

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
    if (text.length > this.#shown) this.#append(passage, text, manner);
    this.#end(manner);
  }

  /** Place gutters and notes; this needs the final line breaks. */
  layout(): void {
    const placed = this.#stitches.map((each) => {
      const { stitch } = each;
      const paragraph = stitch.parentElement as HTMLElement;
      const y = stitch.offsetTop + stitch.offsetHeight / 2;
      return { ...each, y, top: paragraph.offsetTop + stitch.offsetTop - 4 };
    });
    for (const { gutter, before, y } of placed) {
      before.style.bottom = `calc(100% - ${y - 10}px)`;
      gutter.style.top = `${y}px`;
    }
    if (this.#margin === null) return;
    const notes = placed.flatMap(({ note, top }) => (note === null ? [] : [{ note, top }]));
    placeNotes(this.#margin, notes);
  }

  #begin(passage: Passage): void {
    this.#passage = passage;
    this.#revision = passage.revision;
    this.#root.replaceChildren();
    this.#margin?.replaceChildren();
    this.#stitches.length = 0;
    this.#paragraph = this.#node = null;
    this.#shown = this.#spans = this.#breaks = 0;
  }

  #append(passage: Passage, text: string, manner: WriteOptions): void {
    while (this.#shown < text.length) {
      const span = passage.spans[this.#spans];
      if (span !== undefined && span.start <= this.#shown) {
        this.#spans += 1;
        this.#hue = span.hue;
        if (span.seam !== null) this.#mend(span.seam, manner);
        else if (this.#node?.data === "") this.#dye();
        continue;
      }
      const end = Math.min(span?.start ?? text.length, text.length);
      this.#words(text.slice(this.#shown, end));
      this.#shown = end;
    }
  }

  #words(piece: string): void {
    for (const part of piece.split(BREAKS)) {
      if (part === "") continue;
      // Line ends wait for the next text: only then is it clear whether a paragraph ends.
      if (part.includes("\n") && part.trim() === "") {
        this.#breaks += part.split("\n").length - 1;
        continue;
      }
      if (this.#breaks >= 2 || this.#paragraph === null) this.#newParagraph();
      else if (this.#breaks === 1) this.#node?.appendData("\n");
      this.#breaks = 0;
      this.#node?.appendData(part);
    }
  }

  #newParagraph(): void {
    this.#paragraph = make("p");
    this.#node = document.createTextNode("");
    this.#paragraph.append(make("i", `gut ${this.#hue}`), this.#node);
    this.#root.append(this.#paragraph);
  }

  /** An empty paragraph, made for the caret, gets the hue of its first word. */
  #dye(): void {
    const gutter = this.#paragraph?.querySelector(".gut");
    if (gutter) gutter.className = `gut ${this.#hue}`;
  }

  #mend(seam: Seam, manner: WriteOptions): void {
    if (this.#breaks >= 2 || this.#paragraph === null) this.#newParagraph();
    else if (this.#breaks === 1) this.#node?.appendData("\n");
    this.#breaks = 0;
    const paragraph = this.#paragraph as HTMLElement;
    const before = [...paragraph.querySelectorAll<HTMLElement>(".gut")].at(-1) as HTMLElement;
    const gutter = make("i", `gut ${this.#hue}`);
    const stitch = stitchOf(manner.stitchLabel(seam));
    this.#node = document.createTextNode("");
    paragraph.append(gutter, stitch, this.#node);
    this.#stitches.push({ stitch, gutter, before, note: this.#noteFor(seam, manner) });
    this.layout();
  }

  #noteFor(seam: Seam, manner: WriteOptions): HTMLDetailsElement | null {
    if (this.#margin === null || manner.note === undefined) return null;
    const note = noteOf(manner.note(seam));
    this.#margin.append(note);
    return note;
  }

  #end(manner: WriteOptions): void {
    if (this.#paragraph === null && manner.caret !== "none") this.#newParagraph();
    const tail = manner.isFrayed ? this.#fray : manner.caret === "none" ? null : this.#caret;
    if (tail !== this.#caret) this.#caret.remove();
    if (tail !== this.#fray) this.#fray.remove();
    if (tail === null || this.#paragraph === null) return;
    if (this.#paragraph.lastChild !== tail) this.#paragraph.append(tail);
    this.#caret.className = `caret ${manner.caret === "wait" ? "wait" : this.#hue}`;
  }
}
