/** The answer of `/api/usage`, and sums over it. */

interface Row {
  readonly day: string;
  readonly flow: string;
  readonly model: string;
  readonly runs: number;
  readonly attempts: number;
  readonly failures: number;
  readonly uncounted: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly is_estimated: boolean;
  readonly costs: readonly { readonly currency: string; readonly amount: number }[];
}

export interface UsageJson {
  readonly days: number;
  readonly runs: number;
  readonly is_whole: boolean;
  readonly rows: readonly Row[];
}

export interface Sum {
  runs: number;
  attempts: number;
  failures: number;
  uncounted: number;
  input: number;
  output: number;
  isEstimated: boolean;
  readonly costs: Map<string, number>;
}

export function add(rows: readonly Row[]): Sum {
  const costs = new Map<string, number>();
  const sum: Sum = {
    runs: 0,
    attempts: 0,
    failures: 0,
    uncounted: 0,
    input: 0,
    output: 0,
    isEstimated: false,
    costs,
  };
  for (const row of rows) {
    sum.runs += row.runs;
    sum.attempts += row.attempts;
    sum.failures += row.failures;
    sum.uncounted += row.uncounted;
    sum.input += row.prompt_tokens;
    sum.output += row.completion_tokens;
    sum.isEstimated ||= row.is_estimated;
    for (const { currency, amount } of row.costs)
      costs.set(currency, (costs.get(currency) ?? 0) + amount);
  }
  return sum;
}
