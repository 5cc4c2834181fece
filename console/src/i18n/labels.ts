/** Labels for the server's codes; a code without one shows the server's own message. */

type Translate = (key: string, facts?: Record<string, unknown>) => string;
type Knows = (key: string) => boolean;

export interface ErrorJson {
  readonly code: string;
  readonly message: string;
}

/** What happened, and what to do next. */
export function errorText(error: ErrorJson, t: Translate, te: Knows): string {
  const key = `error.${error.code}`;
  // Only the message names the field that is wrong.
  if (error.code === "invalid_request" && error.message) return error.message;
  return te(key) ? t(key) : error.message || error.code;
}

/** Short, for a column. */
export function causeLabel(code: string, t: Translate, te: Knows): string {
  const key = `cause.${code}`;
  return te(key) ? t(key) : code;
}

export function strategyLabel(strategy: string, t: Translate, te: Knows): string {
  const key = `strategy.${strategy}`;
  return te(key) ? t(key) : strategy;
}

export function flowLabel(flow: string, t: Translate, te: Knows): string {
  const key = `flow.${flow}`;
  return te(key) ? t(key) : flow;
}

/** The page where the user can fix it. */
export function pageFor(code: string): string | null {
  if (["auth", "quota", "no_model", "address", "unknown_model"].includes(code)) return "/models";
  return null;
}
