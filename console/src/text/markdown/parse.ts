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

const DISPLAY = [
  /^\$\$((?:\\[\s\S]|[^\\$])+?)\$\$/,
  /^\\\[((?:\\(?!\])[\s\S]|[^\\])+?)\\\]/,
] as const;

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
        return found && end ? { ...found, raw: found.raw + end[0] } : undefined;
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

/** Longer blocks stay plain: so long a paragraph is no Markdown, and parsing it takes too long. */
const MAX_BLOCK_CHARS = 200_000;

export interface Blocks {
  readonly tokens: readonly Token[];
  /** Whether the tokens' `raw` together are the text, so that each has its place in it. */
  readonly isExact: boolean;
}

export function blocksOf(text: string): Blocks {
  if (text.length > MAX_BLOCK_CHARS) return plain(text);
  // Of the same length, so that places in the text stay.
  const source = text.replace(/\r\n?/g, (end) => (end.length === 2 ? " \n" : "\n"));
  try {
    const tokens = marked.lexer(source);
    const chars = tokens.reduce((sum, token) => sum + token.raw.length, 0);
    return { tokens, isExact: chars === text.length };
  } catch {
    return plain(text); // thousands of quotes in each other
  }
}

function plain(text: string): Blocks {
  const token = { type: "html", raw: text, text, block: true, pre: false } as Token;
  return { tokens: [token], isExact: true };
}
