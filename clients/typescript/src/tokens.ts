/** The estimate of `src/unspool/progress.py`: 1.5 Chinese characters, or 4 others, are a token. */

const FIRST_WIDE = 0x2e80;

/** Size of a text in twelfths of a token; a surrogate pair is the one character it stands for. */
export function weigh(text: string): number {
  let twelfths = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    twelfths += code < FIRST_WIDE ? 3 : 8;
    if (code >= 0xd800 && code < 0xdc00) at += 1;
  }
  return twelfths;
}

export function tokensOf(twelfths: number): number {
  return Math.ceil(twelfths / 12);
}
