/**
 * Server-Sent Events: text in, frames out. Nothing here reads or waits.
 *
 * The same rules as `src/unspool/sse.py`; `conformance/sse.json` holds both to them. A line ends
 * at LF, CR or CRLF and nowhere else (U+2028 is text); a comment after an id makes no frame.
 */

export interface Frame {
  readonly data: string;
  /** The last id given so far; `null` before there was one. */
  readonly id: string | null;
  readonly event: string | null;
}

/** Most characters of one frame. The server's largest event is 4 MiB; more is no stream of ours. */
export const MAX_FRAME_CHARS = 16 * 1024 * 1024;

export class FrameTooLong extends Error {
  override readonly name = "FrameTooLong";
}

export class SseDecoder {
  /** Milliseconds that the server asks readers to wait before they come back. */
  retryMs: number | null = null;

  #rest = "";
  #data: string[] = [];
  #size = 0;
  #id: string | null = null;
  #event: string | null = null;
  #isFirst = true;

  /** Take in the next piece of text, cut anywhere. */
  feed(text: string): Frame[] {
    if (this.#isFirst && text !== "") {
      this.#isFirst = false;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    const frames: Frame[] = [];
    const buffer = this.#rest + text;
    let start = 0;
    let [lf, cr] = [-1, -1];
    for (;;) {
      // Search again only after passing the last one found: most streams have no CR at all.
      if (lf < start) lf = place(buffer, "\n", start);
      if (cr < start) cr = place(buffer, "\r", start);
      const end = Math.min(lf, cr);
      // A CR at the very end may be half of a CRLF: it waits for what comes next.
      if (end === buffer.length || (end === cr && cr + 1 === buffer.length)) break;
      this.#line(buffer.slice(start, end), frames);
      start = end + (buffer.startsWith("\r\n", end) ? 2 : 1);
    }
    this.#rest = buffer.slice(start);
    if (this.#size + this.#rest.length > MAX_FRAME_CHARS) {
      throw new FrameTooLong(`a frame of more than ${MAX_FRAME_CHARS} characters`);
    }
    return frames;
  }

  /** The stream has ended: an unfinished frame counts. */
  flush(): Frame[] {
    const frames: Frame[] = [];
    const line = this.#rest.replace(/\r$/, "");
    this.#rest = "";
    if (line !== "") this.#line(line, frames);
    this.#line("", frames);
    return frames;
  }

  #line(line: string, frames: Frame[]): void {
    if (line === "") {
      // A block without data is no event, even where it has an id.
      if (this.#data.length > 0) {
        frames.push({ data: this.#data.join("\n"), id: this.#id, event: this.#event });
      }
      this.#data = [];
      this.#size = 0;
      this.#event = null;
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") {
      this.#data.push(value);
      this.#size += value.length;
    } else if (field === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (field === "event") {
      this.#event = value || null;
    } else if (field === "retry" && /^\d+$/.test(value)) {
      this.retryMs = Number(value);
    }
  }
}

/** The index of the letter, or the length of the text if it is not there. */
function place(text: string, letter: string, from: number): number {
  const at = text.indexOf(letter, from);
  return at < 0 ? text.length : at;
}
