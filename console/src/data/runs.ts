/** The list of runs: pages of heads, kept up to date while the page is open. */

import { computed, type Ref, ref, shallowRef, watch } from "vue";
import { getJson } from "./http";
import { readTimelines, type TimelineJson } from "./timelines";
import type { RunHead } from "./types";

const PAGE = 100;
/** Between two requests: often enough to see a run start, seldom enough to cost nothing. */
const POLL_MS = 1500;

/** Filters that the server applies. */
export interface RunFilter {
  readonly status: string;
  readonly flow: string;
}

export function useRuns(filter: Ref<RunFilter>) {
  const heads = shallowRef<readonly RunHead[]>([]);
  const timelines = shallowRef<ReadonlyMap<string, TimelineJson>>(new Map());
  const next = ref<string | null>(null);
  const isRead = ref(false);
  const failure = ref<Error | null>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;

  function path(before = ""): string {
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const [name, value] of Object.entries({ ...filter.value, before })) {
      if (value) query.set(name, value);
    }
    return `/v1/runs?${query}`;
  }

  async function poll(): Promise<void> {
    clearTimeout(timer);
    const mine = ++turn;
    try {
      if (!document.hidden) await refresh(mine);
      failure.value = null;
    } catch (error) {
      failure.value = error as Error;
    }
    if (mine === turn) timer = setTimeout(() => void poll(), POLL_MS);
  }

  async function refresh(mine: number): Promise<void> {
    const page = await getJson<{ runs: RunHead[]; next: string | null }>(path());
    if (mine !== turn) return;
    const newest = new Set(page.runs.map((run) => run.id));
    const last = page.runs.at(-1)?.id ?? "";
    // Older pages stay. Ids sort by age, so no run falls between two pages.
    const older = heads.value.filter((run) => !newest.has(run.id) && run.id < last);
    heads.value = [...page.runs, ...older];
    if (older.length === 0) next.value = page.next;
    isRead.value = true;
    await readNewTimelines(page.runs);
  }

  /** Live runs are read again, ended ones once. */
  async function readNewTimelines(runs: readonly RunHead[]): Promise<void> {
    const wanted = runs.filter((run) => {
      const known = timelines.value.get(run.id);
      return run.status === "running" || known === undefined || known.end === null;
    });
    if (wanted.length === 0) return;
    const read = await readTimelines(wanted.map((run) => run.id));
    timelines.value = new Map([
      ...timelines.value,
      ...read.map((timeline) => [timeline.run, timeline] as const),
    ]);
  }

  async function more(): Promise<void> {
    if (next.value === null) return;
    const page = await getJson<{ runs: RunHead[]; next: string | null }>(path(next.value));
    const known = new Set(heads.value.map((run) => run.id));
    heads.value = [...heads.value, ...page.runs.filter((run) => !known.has(run.id))];
    next.value = page.next;
    await readNewTimelines(page.runs);
  }

  watch(filter, () => {
    heads.value = [];
    isRead.value = false;
    void poll();
  });

  function stop(): void {
    turn = -1;
    clearTimeout(timer);
  }

  return {
    heads,
    timelines,
    isRead,
    failure,
    hasMore: computed(() => next.value !== null),
    poll,
    more,
    stop,
  };
}
