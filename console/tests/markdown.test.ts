import { describe, expect, test } from "vitest";
import type { Passage } from "@/live/runModel";
import { blocksOf } from "@/text/markdown/parse";
import { markedText, marksOf } from "@/text/markdown/seams";
import type { Seam } from "@/timeline/fold";

const TEXTS = [
  "# 标题\n\n一段**粗体**。\n第二行\n\n- 一\n\n- 二\n  - 子\n\n后文\n",
  "| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nlet a = 1;\n\n\nlet b;\n```\n\n结束",
  "标题\n---\n\n> 引用\n继续\n\n1. 一\n2. 二\n\n***\n文\n    缩进\n\n    代码\n\n尾",
  "公式：\n$$\n\\frac{1}{2}\n$$\n后面 $x$ 和 \\(y\\)。\n\n$$\na\n- b\n= c\n$$\n\n<div>\n**x**\n\n</div>\n",
  "a\r\nb\r\n\r\nc\r\n- d\r\n- e\r\n",
  "[x]: http://a.example\n\n[x]\n\n- [ ] 没做\n- [x] 做了\n",
];

/** The blocks as a page closes them while a text arrives in pieces. */
function closedInPieces(text: string, size: number): string[] {
  const closed: string[] = [];
  let from = 0;
  for (let end = size; ; end = Math.min(end + size, text.length)) {
    const { tokens, isExact, last } = blocksOf(text.slice(from, end));
    if (isExact) {
      for (const token of tokens.slice(0, last)) {
        closed.push(token.raw);
        from += token.raw.length;
      }
    }
    if (end >= text.length)
      return [...closed, ...tokens.slice(isExact ? last : 0).map((t) => t.raw)];
  }
}

describe("blocks of Markdown", () => {
  test("are, piece by piece, the blocks of the whole text, and all of its characters", () => {
    for (const text of TEXTS) {
      const whole = blocksOf(text);
      expect(whole.isExact).toBe(true);
      for (const size of [1, 2, 3, 7, 20]) {
        expect(closedInPieces(text, size).join("")).toBe(
          whole.tokens.map((token) => token.raw).join(""),
        );
        expect(closedInPieces(text, size).filter((raw) => raw.trim() !== "")).toEqual(
          whole.tokens.map((token) => token.raw).filter((raw) => raw.trim() !== ""),
        );
      }
    }
  });

  test("tell formulas from prices", () => {
    const kinds = (text: string) => {
      const [block] = blocksOf(text).tokens;
      const tokens = block !== undefined && "tokens" in block ? (block.tokens ?? []) : [];
      return tokens.filter((token) => token.type === "formula").map((token) => token.raw);
    };
    expect(kinds("一双 $5，两双 $9。")).toEqual([]);
    expect(kinds("$a$ 与 \\(b\\)，$$c$$")).toEqual(["$a$", "\\(b\\)", "$$c$$"]);
    expect(kinds("`$a$` 是代码")).toEqual([]);
    expect(kinds("没有结束 $a")).toEqual([]);
  });

  test("of a text that is nested without end, or very long, are plain", () => {
    for (const text of [">".repeat(40_000), "字".repeat(90_000)]) {
      const { tokens } = blocksOf(text);
      expect(tokens.map((token) => token.raw).join("").length).toBe(text.length);
    }
  });
});

describe("seams in Markdown", () => {
  const seam = {} as Seam;
  const passage = (text: string, start: number) =>
    ({
      step: { text },
      spans: [{ start, model: "b", hue: "b", seam }],
      revision: 0,
    }) as never as Passage;

  test("stand between two letters at or behind where they are, and change no meaning", () => {
    for (const [text, start, marked] of [
      ["你好世界", 2, "你好\ufdd0世界"],
      ["一**粗体**二", 2, "一**粗\ufdd0体**二"],
      ["正文\n\n- 列表", 4, "正文\n\n- \ufdd0列表"],
      ["- 一\n    - 二", 5, "- 一\n    - \ufdd0二"],
      ["```js", 1, "```j\ufdd0s"],
    ] as const) {
      const marks = marksOf(passage(text, start));
      expect(markedText(text, 0, marks)).toBe(marked);
    }
  });

  test("wait while there is no such place, and signs that a model wrote are none", () => {
    expect(marksOf(passage("正文**", 2))[0]?.at).toBe(Number.POSITIVE_INFINITY);
    expect(markedText("a\ufdd0b", 0, [])).toBe("a\ufffdb");
  });
});
