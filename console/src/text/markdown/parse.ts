/**
 * Markdown of a model as tokens: CommonMark and GitHub's tables by `marked`, and formulas between
 * dollars or `\( \)`, `\[ \]`. Its lexer only; what makes HTML of tokens is not used.
 */

import { Marked, type Token } from "marked";

export interface FormulaToken {
  readonly type: "formula";
  readonly raw: string;
  readonly text: string;
  readonly isDisplay: boolean;
}

/** Without an empty line inside, as TeX has it. */
const DISPLAY = [
  /^\$\$((?:(?!\n[^\S\n]*\n)(?:\\[\s\S]|[^\\$]))+?)\$\$/,
  /^\\\[((?:(?!\n[^\S\n]*\n)(?:\\(?!\])[\s\S]|[^\\]))+?)\\\]/,
] as const;

/** A formula of its own that has not ended yet: no list and no heading begins in it. */
const OPEN = /^(?:\$\$|\\\[)(?:(?!\n[^\S\n]*\n)[\s\S])*\n?$/;

/** As pandoc has it: "$5 and $6" are prices, since a space stands before the second dollar. */
const INLINE = [
  /^\$(?![\s$])((?:\\[^\n]|[^\\$\n])*?(?:\\[^\n]|[^\\$\s]))\$(?!\d)/,
  /^\\\(((?:\\(?!\))[^\n]|[^\\\n])+?)\\\)/,
] as const;

/** Longer ones are text: nobody reads such a formula, and typesetting it takes seconds. */
const MAX_FORMULA_CHARS = 4000;

function formulaIn(source: string, rules: readonly RegExp[], isDisplay: boolean) {
  for (const rule of rules) {
    const found = rule.exec(source.slice(0, MAX_FORMULA_CHARS));
    if (found?.[1] === undefined) continue;
    return { type: "formula", raw: found[0], text: found[1].trim(), isDisplay };
  }
  return undefined;
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  extensions: [
    {
      name: "formula",
      level: "block",
      tokenizer: (source) => {
        const found = formulaIn(source, DISPLAY, true);
        const end = found && /^[^\S\n]*(?:\n+|$)/.exec(source.slice(found.raw.length));
        if (found && end) return { ...found, raw: found.raw + end[0] };
        const isOpen = !found && source.length < MAX_FORMULA_CHARS && OPEN.test(source);
        return isOpen ? { type: "html", raw: source, text: source } : undefined;
      },
    },
    {
      name: "formula",
      level: "inline",
      start: (source) => {
        const at = source.search(/\$|\\[([]/);
        return at < 0 ? undefined : at;
      },
      tokenizer: (source) => formulaIn(source, DISPLAY, true) ?? formulaIn(source, INLINE, false),
    },
  ],
});

/** A longer block, and what follows it, is plain: hostile ones of this size take two seconds. */
const MAX_BLOCK_CHARS = 40_000;

export interface Blocks {
  readonly tokens: readonly Token[];
  /** Whether the tokens' `raw` together are the text, so that each has its place in it. */
  readonly isExact: boolean;
  /** Place of the last block, which more text may change; those before it have ended. */
  readonly last: number;
}

export function blocksOf(text: string): Blocks {
  if (text.length > MAX_BLOCK_CHARS) return plain(text);
  // Of the same length, so that places in the text stay.
  const source = text.replace(/\r\n?/g, (end) => (end.length === 2 ? " \n" : "\n"));
  try {
    const tokens = marked.lexer(source);
    const chars = tokens.reduce((sum, token) => sum + token.raw.length, 0);
    const last = tokens.findLastIndex((token) => token.type !== "space");
    return { tokens, isExact: chars === text.length, last };
  } catch {
    return plain(text); // thousands of quotes in each other
  }
}

function plain(text: string): Blocks {
  const token = { type: "html", raw: text, text, block: true, pre: false } as Token;
  return { tokens: [token], isExact: true, last: 0 };
}
