/**
 * Tokens of Markdown as nodes of the page. Only elements of the list below are made, and the
 * model's words go into text nodes; HTML in them stays text. Links lead to http, https and mailto;
 * an image is a link to it, so that nothing is loaded.
 */

import type { Token, Tokens } from "marked";
import { formulaOf } from "./formula";
import type { FormulaToken } from "./parse";

/** Marks of seams in a text: noncharacters of Unicode, which no text holds. */
const MARKS = /([\ufdd0-\ufdef])/;
const ALL_MARKS = /[\ufdd0-\ufdef]/g;

/** Nested deeper, it is shown as text. */
const MAX_DEPTH = 24;
const MAX_COLUMNS = 100;
const PROTOCOLS = new Set(["http:", "https:", "mailto:"]);

export interface NodeOptions {
  readonly copyLabel: string;
  /** The sign of the seam that a mark stands for. */
  readonly stitch: (mark: string) => Node | null;
}

type Tag =
  | "p"
  | "h3"
  | "h4"
  | "h5"
  | "h6"
  | "hr"
  | "pre"
  | "code"
  | "blockquote"
  | "ul"
  | "ol"
  | "li"
  | "table"
  | "thead"
  | "tbody"
  | "tr"
  | "th"
  | "td"
  | "strong"
  | "em"
  | "del"
  | "br"
  | "a"
  | "div"
  | "header"
  | "span"
  | "button";

function element(tag: Tag, className = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  return made;
}

export class NodeMaker {
  readonly #options: NodeOptions;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  block(token: Token, depth = 0): Node {
    if (depth > MAX_DEPTH) return this.#paragraph(token.raw);
    switch (token.type) {
      case "paragraph":
        return this.#inline(element("p"), token as Tokens.Paragraph, depth);
      case "text":
        return this.#inline(element("span"), token as Tokens.Text, depth);
      case "heading": {
        const level = Math.min((token as Tokens.Heading).depth + 2, 6) as 3 | 4 | 5 | 6;
        return this.#inline(element(`h${level}`), token as Tokens.Heading, depth);
      }
      case "code":
        return this.#code(token as Tokens.Code);
      case "blockquote":
        return this.#blocks(element("blockquote"), (token as Tokens.Blockquote).tokens, depth);
      case "list":
        return this.#list(token as Tokens.List, depth);
      case "table":
        return this.#table(token as Tokens.Table, depth);
      case "hr":
        return element("hr");
      case "formula":
        return this.#formula(token as unknown as FormulaToken);
      case "checkbox":
        return document.createTextNode((token as Tokens.Checkbox).checked ? "☑ " : "☐ ");
      default:
        return this.#paragraph(token.raw);
    }
  }

  #blocks(into: HTMLElement, tokens: readonly Token[], depth: number): HTMLElement {
    for (const token of tokens) {
      if (token.type !== "space") into.append(this.block(token, depth + 1));
    }
    return into;
  }

  #paragraph(raw: string): HTMLElement {
    const paragraph = element("p");
    this.#words(paragraph, raw.replace(/\n+$/, ""));
    return paragraph;
  }

  #words(into: HTMLElement, text: string): void {
    for (const part of text.split(MARKS)) {
      const sign = part.length === 1 && MARKS.test(part) ? this.#options.stitch(part) : null;
      if (sign !== null) into.append(sign);
      else if (part !== "" && !MARKS.test(part)) into.append(part);
    }
  }

  #code({ text, lang }: Tokens.Code): HTMLElement {
    const box = element("div", "code");
    const header = element("header");
    const name = element("span", "log");
    name.textContent = (lang ?? "").replaceAll(ALL_MARKS, "").slice(0, 40);
    const button = element("button", "btn quiet s") as HTMLButtonElement;
    button.type = "button";
    button.dataset.copy = "";
    button.textContent = this.#options.copyLabel;
    header.append(name, button);
    const words = element("code");
    this.#words(words, text);
    const frame = element("pre");
    frame.tabIndex = 0;
    frame.append(words);
    box.append(header, frame);
    return box;
  }

  #list(token: Tokens.List, depth: number): HTMLElement {
    const list = element(token.ordered ? "ol" : "ul");
    const start = Number(token.start);
    if (token.ordered && start !== 1 && Number.isSafeInteger(start))
      list.setAttribute("start", String(start));
    for (const item of token.items) {
      const line = element("li");
      const hasBox = item.tokens.some((each) => deepFirst(each)?.type === "checkbox");
      if (item.task && !hasBox) line.append(item.checked ? "☑ " : "☐ ");
      list.append(this.#blocks(line, item.tokens, depth + 1));
    }
    return list;
  }

  #table(token: Tokens.Table, depth: number): HTMLElement {
    const row = (cells: readonly Tokens.TableCell[], tag: "th" | "td") => {
      const line = element("tr");
      for (const cell of cells.slice(0, MAX_COLUMNS)) {
        const place = this.#inline(element(tag, cell.align ?? ""), cell, depth);
        line.append(place);
      }
      return line;
    };
    const head = element("thead");
    head.append(row(token.header, "th"));
    const body = element("tbody");
    for (const cells of token.rows) body.append(row(cells, "td"));
    const table = element("table");
    table.append(head, body);
    const box = element("div", "grid");
    box.tabIndex = 0;
    box.append(table);
    return box;
  }

  #formula({ text, isDisplay, raw }: FormulaToken): HTMLElement {
    const clean = (source: string) => source.replaceAll(ALL_MARKS, "");
    return formulaOf(clean(text), isDisplay, clean(raw));
  }

  #inline(
    into: HTMLElement,
    { tokens, text }: { tokens?: Token[]; text: string },
    depth: number,
  ): HTMLElement {
    if (tokens === undefined || depth > MAX_DEPTH) this.#words(into, text);
    else for (const token of tokens) this.#piece(into, token, depth + 1);
    return into;
  }

  #piece(into: HTMLElement, token: Token, depth: number): void {
    switch (token.type) {
      case "strong":
      case "em":
      case "del":
        into.append(this.#inline(element(token.type), token as Tokens.Strong, depth));
        break;
      case "codespan": {
        const code = element("code");
        this.#words(code, (token as Tokens.Codespan).text);
        into.append(code);
        break;
      }
      case "br":
        into.append(element("br"));
        break;
      case "link":
      case "image":
        this.#link(into, token as Tokens.Link | Tokens.Image, depth);
        break;
      case "formula":
      case "checkbox":
        into.append(this.block(token, depth));
        break;
      case "text":
      case "escape":
        this.#inline(into, token as Tokens.Text, depth);
        break;
      default:
        this.#words(into, token.raw);
    }
  }

  #link(into: HTMLElement, token: Tokens.Link | Tokens.Image, depth: number): void {
    const href = addressOf(token.href.replaceAll(ALL_MARKS, ""));
    if (href === null || into.closest("a") !== null) {
      this.#words(into, token.raw);
      return;
    }
    const link = element("a") as HTMLAnchorElement;
    link.href = href;
    link.title = href;
    link.rel = "noopener noreferrer nofollow";
    link.target = "_blank";
    if (token.type === "image") this.#words(link, token.text || href);
    else this.#inline(link, token as Tokens.Link, depth);
    into.append(link);
  }
}

function addressOf(written: string): string | null {
  try {
    const url = new URL(written);
    return PROTOCOLS.has(url.protocol) ? url.href : null;
  } catch {
    return null; // an address relative to this page is not what the model means
  }
}

function deepFirst(token: Token): Token | undefined {
  return "tokens" in token && token.tokens?.[0] ? deepFirst(token.tokens[0]) : token;
}
