/** The filter of the list of runs: in the address, and as the server takes it. */

import type { LocationQuery } from "vue-router";

export const SORTS = ["newest", "longest", "dearest", "tokens", "slowest"] as const;
type Sort = (typeof SORTS)[number];

export const STATES = [
  "running",
  "waiting",
  "completed",
  "incomplete",
  "failed",
  "cancelled",
] as const;

/** Time ranges, and how long they are. `today` begins at midnight, by the reader's clock. */
const HOUR_MS = 3_600_000;
const RANGES = { hour: HOUR_MS, today: 0, week: 7 * 24 * HOUR_MS, month: 30 * 24 * HOUR_MS };
export type Range = keyof typeof RANGES;
export const RANGE_NAMES = Object.keys(RANGES) as Range[];

export interface RunFilter {
  readonly q: string;
  readonly status: readonly string[];
  readonly flow: string;
  readonly model: string;
  readonly code: string;
  readonly parent: string;
  readonly range: Range | "";
  readonly seams: boolean;
  readonly unpriced: boolean;
  readonly sort: Sort;
}

/** What of the address is a filter; other parts of it stay where the filter changes. */
export const FILTER_KEYS = [
  "q",
  "status",
  "flow",
  "model",
  "code",
  "parent",
  "range",
  "seam",
  "unpriced",
  "sort",
] as const;

export function filterOf(query: LocationQuery): RunFilter {
  const one = (name: string) => String(query[name] ?? "");
  const range = query.today ? "today" : one("range");
  return {
    q: one("q").trim(),
    status: one("status").split(",").filter(Boolean),
    flow: one("flow"),
    model: one("model"),
    code: one("code"),
    parent: one("parent"),
    range: RANGE_NAMES.find((each) => each === range) ?? "",
    seams: one("seam") !== "",
    unpriced: one("unpriced") !== "",
    sort: SORTS.find((each) => each === query.sort) ?? "newest",
  };
}

/** How many filters are on, without the words and the order. */
export function countOf(filter: RunFilter): number {
  const { status, flow, model, code, parent, range, seams, unpriced } = filter;
  return [status.length, flow, model, code, parent, range, seams, unpriced].filter(Boolean).length;
}

/** Children are shown where one looks for something, not in the plain list. */
const isFolded = ({ q, parent, status, model, code, seams, unpriced }: RunFilter) =>
  !(q || parent || status.length || model || code || seams || unpriced);

export function paramsOf(filter: RunFilter, now: number): URLSearchParams {
  const params = new URLSearchParams();
  const put = (name: string, value: string) => value && params.set(name, value);
  for (const name of ["q", "flow", "model", "code", "parent"] as const) put(name, filter[name]);
  for (const status of filter.status) params.append("status", status);
  put("seams", filter.seams ? "1" : "");
  put("unpriced", filter.unpriced ? "1" : "");
  put("top", isFolded(filter) ? "1" : "");
  put("since", sinceOf(filter.range, now));
  put("sort", filter.sort === "newest" ? "" : filter.sort);
  return params;
}

function sinceOf(range: Range | "", now: number): string {
  if (range === "") return "";
  const since = range === "today" ? new Date(now).setHours(0, 0, 0, 0) : now - RANGES[range];
  return new Date(since).toISOString();
}

/** A filter with a name; those that people save stay in their browser. */
export interface View {
  readonly name: string;
  readonly query: Readonly<Record<string, string>>;
}

export const VIEWS_KEY = "unspool.views";
const MAX_VIEWS = 20;

export function savedViews(): View[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(VIEWS_KEY) ?? "[]");
    return Array.isArray(stored) ? stored.filter(isView).slice(0, MAX_VIEWS) : [];
  } catch {
    return [];
  }
}

export function saveViews(views: readonly View[]): void {
  localStorage.setItem(VIEWS_KEY, JSON.stringify(views.slice(-MAX_VIEWS)));
}

function isView(value: unknown): value is View {
  const { name, query } = (value ?? {}) as Record<string, unknown>;
  return typeof name === "string" && typeof query === "object" && query !== null;
}

/** The filters of an address, in an order that makes equal ones equal texts. */
export function keyOf(query: LocationQuery | View["query"]): string {
  return FILTER_KEYS.map((name) => String(query[name] ?? "")).join("|");
}
