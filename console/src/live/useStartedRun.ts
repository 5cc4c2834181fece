/** A run that a page has started. Its id is in the address, so a reload shows it again. */

import { openRun, type RunEvent } from "unspool-client";
import { onBeforeUnmount, type ShallowRef, shallowRef } from "vue";
import { useRoute, useRouter } from "vue-router";
import { useModels } from "@/data/stores";
import { RunView, watchRun } from "./runView";

export interface StartedRun {
  readonly view: ShallowRef<RunView | null>;
  /** Start a run by a POST and show it. */
  start(url: string, body: unknown, headers?: Record<string, string>): RunView;
  /** Show an existing run. */
  show(id: string): RunView;
  /** Show the run in the address, if there is one. */
  restore(): void;
  clear(): void;
}

export function useStartedRun(name = "run", onEvent?: (event: RunEvent) => void): StartedRun {
  const view = shallowRef<RunView | null>(null);
  const route = useRoute();
  const router = useRouter();
  const models = useModels();

  function write(id: string | null): void {
    void router.replace({ query: { ...route.query, [name]: id ?? undefined } });
  }

  function set(next: RunView | null): void {
    view.value?.close();
    view.value = next;
  }

  function start(url: string, body: unknown, headers?: Record<string, string>): RunView {
    const next = new RunView(
      (options) => openRun(url, { ...options, body, headers }),
      models.hueOf,
    );
    next.onId = (id) => {
      if (view.value === next) write(id);
    };
    if (onEvent !== undefined) next.onEvent = onEvent;
    set(next);
    return next;
  }

  function show(id: string): RunView {
    const next = watchRun(id, models.hueOf);
    if (onEvent !== undefined) next.onEvent = onEvent;
    set(next);
    if (route.query[name] !== id) write(id);
    return next;
  }

  function restore(): void {
    const id = route.query[name];
    if (typeof id === "string" && id) show(id);
  }

  function clear(): void {
    set(null);
    if (route.query[name]) write(null);
  }

  onBeforeUnmount(() => set(null));
  return { view, start, show, restore, clear };
}

/** Whether the run has not ended. */
export function isLive(view: RunView | null): boolean {
  if (view === null || view.failure.value !== null) return false;
  return ["streaming", "stalled", "queued", "waiting"].includes(view.snapshot.value.state);
}
