/** The answer of `/api/usage`, and sums over it. */

import { type Hue, Hues } from "@/timeline/hues";

interface Row {
  /** By the reader's clock. */
  readonly day: string;
  readonly flow: string;
  readonly model: string;
  readonly runs: number;
  readonly attempts: number;
  readonly failures: number;
  readonly uncounted: number;
  /** Attempts that used tokens and have no price. */
  readonly unpriced: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly is_estimated: boolean;
  readonly costs: readonly { readonly currency: string; readonly amount: number }[];
}

/** How long the first text or the whole took, in the middle and for one of twenty. */
interface Times {
  readonly by: "model" | "flow";
  readonly of: "first" | "total";
  readonly name: string;
  readonly p50_ms: number;
  readonly p95_ms: number;
}

export interface UsageJson {
  readonly days: number;
  readonly runs: number;
  readonly is_whole: boolean;
  readonly rows: readonly Row[];
  readonly flows: readonly {
    readonly name: string;
    readonly runs: number;
    readonly failed: number;
  }[];
  readonly times: readonly Times[];
  readonly owners: readonly {
    readonly key: string;
    readonly user: string;
    readonly runs: number;
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly unpriced: number;
    readonly costs: readonly { readonly currency: string; readonly amount: number }[];
  }[];
}

export interface Sum {
  runs: number;
  attempts: number;
  failures: number;
  uncounted: number;
  unpriced: number;
  input: number;
  output: number;
  isEstimated: boolean;
  readonly costs: Map<string, number>;
}

export function add(rows: readonly Row[]): Sum {
  const sum: Sum = {
    ...{ runs: 0, attempts: 0, failures: 0, uncounted: 0, unpriced: 0, input: 0, output: 0 },
    isEstimated: false,
    costs: new Map(),
  };
  for (const row of rows) {
    sum.runs += row.runs;
    sum.attempts += row.attempts;
    sum.failures += row.failures;
    sum.uncounted += row.uncounted;
    sum.unpriced += row.unpriced;
    sum.input += row.prompt_tokens;
    sum.output += row.completion_tokens;
    sum.isEstimated ||= row.is_estimated;
    for (const { currency, amount } of row.costs)
      sum.costs.set(currency, (sum.costs.get(currency) ?? 0) + amount);
  }
  return sum;
}

/** A model's hue; `rest`: more models than there are hues. */
export type SeriesHue = Hue | "rest";

const HUES = 6;

/** Give the models that wrote most a hue of their own; text that no model wrote keeps its own. */
export function huesOf(rows: readonly Row[], base: (model: string) => Hue): Map<string, SeriesHue> {
  const tokens = new Map<string, number>();
  for (const { model, completion_tokens } of rows)
    tokens.set(model, (tokens.get(model) ?? 0) + completion_tokens);
  const names = [...tokens.keys()].sort((a, b) => (tokens.get(b) ?? 0) - (tokens.get(a) ?? 0));
  const hues = new Hues(base);
  const first = names.filter((name) => base(name) !== "d").slice(0, HUES);
  return new Map(
    names.map((name) => {
      const hasOwn = first.includes(name) || base(name) === "d";
      return [name, hasOwn ? hues.of(name) : "rest"];
    }),
  );
}

/** The local days that end today, oldest first. */
export function daysUntil(now: Date, count: number): string[] {
  const two = (value: number) => String(value).padStart(2, "0");
  return Array.from({ length: count }, (_, at) => {
    const ago = count - 1 - at;
    const day = new Date(now.getFullYear(), now.getMonth(), now.getDate() - ago);
    return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
  });
}
