/** The timelines of the newest runs; an ended one is read once. */

import { type ShallowRef, shallowRef } from "vue";
import { getJson } from "./http";
import { inOrder } from "./newest";
import { readTimelines, type TimelineJson } from "./timelines";
import type { RunHead } from "./types";

const RUNS = 100;

export type DatedTimeline = TimelineJson & { readonly at: string };

/** `read` again brings the newest runs, newest first, and asks for no ended one twice. */
export function useRecentTimelines(): {
  readonly timelines: ShallowRef<readonly DatedTimeline[]>;
  read(): Promise<void>;
} {
  const timelines = shallowRef<readonly DatedTimeline[]>([]);

  async function find(): Promise<readonly DatedTimeline[]> {
    const { runs } = await getJson<{ runs: RunHead[] }>(`/v1/runs?limit=${RUNS}`);
    const known = new Map(timelines.value.map((each) => [each.run, each]));
    const wanted = runs.filter(({ id }) => (known.get(id)?.end ?? null) === null);
    for (const each of await readTimelines(wanted.map(({ id }) => id)))
      known.set(each.run, { ...each, at: "" });
    return runs.flatMap(({ id, created_at }) => {
      const timeline = known.get(id);
      return timeline === undefined ? [] : [{ ...timeline, at: created_at }];
    });
  }

  const read = inOrder(find, (found) => {
    timelines.value = found;
  });
  return { timelines, read };
}
