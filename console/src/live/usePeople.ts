/**
 * A page of people and the timelines of their last extractions, as the server has them.
 *
 * It is read again while one of them is extracted, and when a run begins or ends somewhere; a list
 * in which nothing happens costs the server nothing.
 */

import { onBeforeUnmount, shallowRef, watch } from "vue";
import { useI18n } from "vue-i18n";
import { useAddress } from "@/data/address";
import { getJson } from "@/data/http";
import { newest } from "@/data/newest";
import type { PeopleJson } from "@/data/people";
import { useServer } from "@/data/stores";
import { readTimelines, type TimelineJson } from "@/data/timelines";
import { errorText } from "@/i18n/labels";

const POLL_MS = 2000;
const FILTERS = ["q", "state", "city", "sort", "desc", "page"];

export function usePeople(size: number, isBusy: () => boolean) {
  const { t, te } = useI18n();
  const { query, page, reach } = useAddress();
  const server = useServer();
  const list = shallowRef<PeopleJson | null>(null);
  const timelines = shallowRef<ReadonlyMap<string, TimelineJson>>(new Map());
  const failure = shallowRef("");
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isGone = false;
  const asking = newest();

  async function read(): Promise<void> {
    const isNewest = asking();
    const asked = new URLSearchParams({
      query: query("q"),
      state: query("state"),
      city: query("city"),
      sort: query("sort") || "id",
      descending: String(query("desc") !== ""),
      offset: String((page.value - 1) * size),
      limit: String(size),
      cities: "true",
    });
    const found = await getJson<PeopleJson>(`/api/people?${asked}`);
    const runs = found.people.flatMap(({ extraction }) => extraction?.run ?? []);
    const known = new Map(
      runs.flatMap((run) => {
        const timeline = timelines.value.get(run);
        return timeline === undefined ? [] : [[run, timeline] as const];
      }),
    );
    const wanted = runs.filter((run) => known.get(run)?.end == null);
    for (const timeline of await readTimelines(wanted)) known.set(timeline.run, timeline);
    if (!isNewest()) return; // the filters have changed meanwhile
    list.value = found;
    timelines.value = known;
    reach(found.total, size);
  }

  async function poll(): Promise<void> {
    clearTimeout(timer);
    try {
      if (!document.hidden) await read();
      failure.value = "";
    } catch (error) {
      failure.value = errorText(error as never, t, te);
    }
    clearTimeout(timer);
    const isLive = isBusy() || list.value?.people.some((person) => person.run !== null);
    if (!isGone && (isLive || failure.value)) timer = setTimeout(() => void poll(), POLL_MS);
  }

  watch([() => FILTERS.map(query).join("\n"), () => server.live], () => void poll());
  const look = () => void poll();
  document.addEventListener("visibilitychange", look);
  onBeforeUnmount(() => {
    isGone = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
  });
  return { list, timelines, failure, poll };
}
