/** Test cases: what an answer must be like, and how models did. */

import type { ErrorJson } from "@/i18n/labels";

export const RULE_KINDS = ["contains", "lacks", "equals"] as const;

interface TextRule {
  readonly kind: (typeof RULE_KINDS)[number];
  readonly value: string;
}

interface CallRule {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface Expectation {
  readonly text: readonly TextRule[];
  /** null: any calls will do. */
  readonly calls: readonly CallRule[] | null;
  readonly fits?: Readonly<Record<string, unknown>> | null;
}

interface Miss {
  readonly kind: "equals" | "contains" | "lacks" | "call" | "no_calls" | "json" | "fits";
  readonly expected: string;
  readonly seen: string;
}

/** How one model's answer to one case was judged. */
export interface Verdict {
  readonly model: string;
  readonly run: string | null;
  readonly verdict: "passed" | "failed" | "error";
  readonly misses: readonly Miss[];
  /** The verdict before this one; null if there was none. */
  readonly before: Verdict["verdict"] | null;
  /** Why there is no whole answer; the evaluation tells it, the list does not. */
  readonly error?: ErrorJson;
}

export interface CaseJson {
  readonly id: number;
  readonly name: string;
  readonly input: { readonly prompt: string; readonly system?: string };
  readonly expectation: Expectation;
  readonly run: string | null;
}

export interface ListedCase extends CaseJson {
  readonly latest: readonly Verdict[];
}

export interface CasePage {
  readonly cases: readonly ListedCase[];
  readonly total: number;
  readonly next: number | null;
}

/** Whether an answer that passed before passes no longer. */
export const isRegression = ({ verdict, before }: Verdict): boolean =>
  before === "passed" && verdict !== "passed";

/** An expectation as people write it: the arguments of calls are JSON in text. */
export interface Draft {
  text: { kind: TextRule["kind"]; value: string }[];
  calls: { name: string; arguments: string }[] | null;
  readonly fits: Expectation["fits"];
}

export function draftOf({ text, calls, fits }: Expectation): Draft {
  return {
    text: text.map((rule) => ({ ...rule })),
    calls:
      calls?.map((call) => ({ name: call.name, arguments: JSON.stringify(call.arguments) })) ??
      null,
    fits,
  };
}

/** The expectation that a draft says; null if arguments in it are no JSON object. */
export function expectationOf(draft: Draft): Expectation | null {
  const calls: CallRule[] = [];
  for (const { name, arguments: written } of draft.calls ?? []) {
    const read = objectIn(written.trim() || "{}");
    if (read === null) return null;
    calls.push({ name: name.trim(), arguments: read });
  }
  const text = draft.text.filter((rule) => rule.value !== "");
  const fits = draft.fits ? { fits: draft.fits } : {};
  return { text, calls: draft.calls === null ? null : calls, ...fits };
}

export function objectIn(written: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(written);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
