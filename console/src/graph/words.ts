/** Figures as people read them. */

type Translate = (key: string, values: Record<string, unknown>) => string;

export const share = (part: number | null | undefined) =>
  part === null || part === undefined ? "–" : `${(part * 100).toFixed(part < 0.1 ? 1 : 0)}%`;

const UNITS = [
  ["days", 86_400],
  ["hours", 3600],
  ["minutes", 60],
] as const;

/** A time in its largest unit. */
export function span(seconds: number | null, t: Translate): string {
  if (seconds === null) return "–";
  const [unit, length] = UNITS.find((one) => seconds >= one[1]) ?? ["seconds", 1];
  return t(`graph.${unit}`, { n: (seconds / length).toFixed(length === 1 ? 0 : 1) });
}
