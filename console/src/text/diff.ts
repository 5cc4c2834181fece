/** The shortest list of deletions and insertions that turns one text into another (Myers, 1986). */

export interface Piece {
  readonly kind: "same" | "out" | "in";
  readonly text: string;
}

/** With more changes than this, the texts count as unrelated. */
const MAX_CHANGES = 2000;

export function diff(before: string, after: string): Piece[] {
  const [a, b] = [wordsOf(before), wordsOf(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (
    end < a.length - start &&
    end < b.length - start &&
    a[a.length - 1 - end] === b[b.length - 1 - end]
  )
    end += 1;
  const middle = changes(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const same = (words: string[]): Piece[] => words.map((text) => ({ kind: "same", text }));
  return joined([...same(a.slice(0, start)), ...middle, ...same(a.slice(a.length - end))]);
}

/** Words in alphabetic scripts, single characters in others. */
function wordsOf(text: string): string[] {
  return text.match(/[\p{Script=Latin}\p{N}_'’-]+|\s+|./gsu) ?? [];
}

function changes(a: readonly string[], b: readonly string[]): Piece[] {
  const trace: Map<number, number>[] = [];
  let furthest = new Map<number, number>([[1, 0]]);
  for (let count = 0; count <= Math.min(a.length + b.length, MAX_CHANGES); count += 1) {
    trace.push(new Map(furthest));
    for (let k = -count; k <= count; k += 2) {
      const down = furthest.get(k + 1) ?? -1;
      const right = (furthest.get(k - 1) ?? -1) + 1;
      let x = k === -count || (k !== count && right <= down) ? down : right;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      furthest = furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return backward(a, b, trace);
    }
  }
  return [
    ...a.map((text): Piece => ({ kind: "out", text })),
    ...b.map((text): Piece => ({ kind: "in", text })),
  ];
}

function backward(
  a: readonly string[],
  b: readonly string[],
  trace: readonly Map<number, number>[],
): Piece[] {
  const pieces: Piece[] = [];
  let [x, y] = [a.length, b.length];
  for (let count = trace.length - 1; count >= 0; count -= 1) {
    const furthest = trace[count] as Map<number, number>;
    const k = x - y;
    const isDown =
      k === -count || (k !== count && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
    const from = isDown ? k + 1 : k - 1;
    const x0 = furthest.get(from) ?? 0;
    const y0 = x0 - from;
    while (x > x0 && y > y0 && x > 0 && y > 0) {
      pieces.push({ kind: "same", text: a[--x] ?? "" });
      y -= 1;
    }
    if (count === 0) break;
    if (isDown) pieces.push({ kind: "in", text: b[--y] ?? "" });
    else pieces.push({ kind: "out", text: a[--x] ?? "" });
  }
  return pieces.reverse();
}

function joined(pieces: readonly Piece[]): Piece[] {
  const all: Piece[] = [];
  for (const piece of pieces) {
    const last = all.at(-1);
    if (last?.kind === piece.kind)
      all[all.length - 1] = { kind: last.kind, text: last.text + piece.text };
    else all.push(piece);
  }
  return all;
}
