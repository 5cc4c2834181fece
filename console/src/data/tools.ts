/** Tools that models may call. */

import type { Schema } from "./schema";

export type AnswerJson =
  | { readonly kind: "mock"; readonly value: unknown }
  | { readonly kind: "python"; readonly entry_point: string }
  | {
      readonly kind: "http";
      readonly method: string;
      readonly url: string;
      readonly arguments_in: string;
      readonly headers?: Readonly<Record<string, string>> | readonly string[];
    };

export interface StoredToolJson {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly parameters: Schema;
  readonly answer: AnswerJson;
  readonly limit_s: number;
  readonly approve: boolean;
  readonly problem: string | null;
}

export type ToolDraft = Omit<StoredToolJson, "id" | "problem">;

export interface ToolTrialJson {
  readonly ok: boolean;
  readonly content: string;
  readonly code: string | null;
  readonly total_ms: number;
}

export const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** Headers written one a line as `Name: value`. */
export function headersIn(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => line.includes(":"));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf(":");
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}
