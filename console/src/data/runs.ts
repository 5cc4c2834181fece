/**
 * The list of runs: pages of rows, kept up to date while the page is open.
 *
 * After the first page it asks only for what has changed since, so a quiet list costs nothing.
 */

import { computed, type Ref, ref, shallowRef, watch } from "vue";
import type { Money } from "@/live/snapshot";
import { getJson } from "./http";
import { newest } from "./newest";
import { paramsOf, type RunFilter } from "./runFilter";
import { readTimelines, type TimelineJson } from "./timelines";
import type { RunHead } from "./types";

const PAGE = 100;
/** Between two requests: often enough to see a run start, seldom enough to cost nothing. */
const POLL_MS = 1500;

/** A run as the list has it: without its events. */
export interface RunRowJson extends RunHead {
  readonly code: string | null;
  readonly first_token_ms: number | null;
  readonly usage: {
    readonly prompt_tokens: number | null;
    readonly completion_tokens: number | null;
    readonly basis: "measured" | "estimated";
  } | null;
  readonly cost: Money | null;
  readonly unpriced: number;
  readonly seams: number;
  readonly recoveries: number;
  readonly parent: string | null;
  /** Runs that it started, by status. */
  readonly children: Readonly<Record<string, number>> | null;
  readonly about: TimelineJson["about"];
  readonly writers: readonly string[];
  readonly hit: Hit | null;
}

/** The first place where a word was found, with what stands around it. */
export interface Hit {
  readonly before: string;
  readonly match: string;
  readonly after: string;
}

export interface Totals {
  readonly statuses: Readonly<Record<string, number>>;
  readonly flows: readonly string[];
  /** The newest runs that the search looked at; null: all of them. */
  readonly searched: number | null;
}

/** The runs that began in one minute. */
export interface Minute {
  readonly at: string;
  readonly runs: number;
  readonly failed: number;
  readonly seams: number;
}

interface Page {
  readonly runs: readonly RunRowJson[];
  readonly next: string | null;
  readonly change: number;
  readonly is_stale: boolean;
  readonly others: readonly string[];
  readonly is_whole: boolean;
  readonly totals: Totals | null;
  readonly minutes: readonly Minute[] | null;
}

export function useRuns(filter: Ref<RunFilter>) {
  const rows = shallowRef<readonly RunRowJson[]>([]);
  const timelines = shallowRef<ReadonlyMap<string, TimelineJson>>(new Map());
  const totals = shallowRef<Totals | null>(null);
  const minutes = shallowRef<readonly Minute[]>([]);
  const isRead = ref(false);
  const isWhole = ref(true);
  const failure = ref<Error | null>(null);
  /** Changes that would move rows of a sorted list. */
  const waiting = ref(0);
  const next = ref<string | null>(null);
  let change = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;
  const listing = newest();

  function path(more: Record<string, string>): string {
    const params = paramsOf(filter.value, Date.now());
    for (const [name, value] of Object.entries({ limit: String(PAGE), ...more }))
      params.set(name, value);
    return `/v1/runs?${params}`;
  }

  async function poll(): Promise<void> {
    clearTimeout(timer);
    const mine = ++turn;
    try {
      if (!document.hidden || !isRead.value) await (isRead.value ? follow(mine) : read(mine));
      if (mine === turn) failure.value = null;
    } catch (error) {
      if (mine === turn) failure.value = error as Error;
    }
    if (mine === turn) timer = setTimeout(() => void poll(), POLL_MS);
  }

  /** Read the first page. */
  async function read(mine: number): Promise<void> {
    const page = await getJson<Page>(path({ totals: "1", minutes: "1" }));
    if (mine !== turn) return;
    listing();
    take(page);
    rows.value = page.runs;
    next.value = page.next;
    waiting.value = 0;
    isRead.value = true;
    await readNewTimelines(page.runs);
  }

  /** Read what has changed since the last time. */
  async function follow(mine: number): Promise<void> {
    const page = await getJson<Page>(path({ totals: "1", minutes: "1", changed: String(change) }));
    if (mine !== turn) return;
    if (page.is_stale) return read(mine);
    take(page);
    merge(page);
    await readNewTimelines(rows.value);
  }

  function take(page: Page): void {
    change = page.change;
    isWhole.value = page.is_whole;
    totals.value = page.totals ?? totals.value;
    minutes.value = page.minutes ?? minutes.value;
  }

  function merge({ runs, others }: Page): void {
    if (runs.length === 0 && others.length === 0) return;
    const changed = new Map(runs.map((run) => [run.id, run]));
    const gone = new Set(others);
    const known = new Set(rows.value.map((run) => run.id));
    const kept = rows.value
      .filter((run) => !gone.has(run.id))
      .map((run) => changed.get(run.id) ?? run);
    const fresh = runs.filter((run) => !known.has(run.id));
    const isSorted = filter.value.sort !== "newest";
    if (isSorted) waiting.value += fresh.length;
    const last = rows.value.at(-1)?.id ?? "";
    const fits = fresh.filter((run) => !isSorted && (next.value === null || run.id > last));
    rows.value = fits.length > 0 ? [...fits, ...kept].sort(byAge) : kept;
  }

  /** Live runs are read again, ended ones once. */
  async function readNewTimelines(runs: readonly RunHead[]): Promise<void> {
    const wanted = runs.filter((run) => {
      const known = timelines.value.get(run.id);
      return known === undefined || known.end === null;
    });
    if (wanted.length === 0) return;
    const found = await readTimelines(wanted.map((run) => run.id));
    timelines.value = new Map([
      ...timelines.value,
      ...found.map((timeline) => [timeline.run, timeline] as const),
    ]);
  }

  async function more(): Promise<void> {
    const before = next.value;
    if (before === null) return;
    next.value = null;
    const isNewest = listing();
    const page = await getJson<Page>(path({ before })).catch(() => null);
    if (!isNewest()) return; // the filter has changed
    if (page === null) {
      next.value = before; // the next scrolling asks again
      return;
    }
    const known = new Set(rows.value.map((run) => run.id));
    rows.value = [...rows.value, ...page.runs.filter((run) => !known.has(run.id))];
    next.value = page.next;
    await readNewTimelines(page.runs);
  }

  function again(): void {
    listing();
    isRead.value = false;
    next.value = null;
    void poll();
  }

  watch(filter, () => {
    rows.value = [];
    totals.value = null;
    again();
  });

  function stop(): void {
    turn = -1;
    clearTimeout(timer);
  }

  return {
    ...{ rows, timelines, totals, minutes, isRead, isWhole, failure, waiting },
    hasMore: computed(() => next.value !== null),
    ...{ poll, more, again, stop },
  };
}

const byAge = (a: RunHead, b: RunHead) => (a.id < b.id ? 1 : -1);
