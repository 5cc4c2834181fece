/** A run that a page has asked for: it is in the address, so a reload goes on with it. */

import { openRun, type RunEvent } from "unspool-client";
import { onBeforeUnmount, type ShallowRef, shallowRef } from "vue";
import { useRoute, useRouter } from "vue-router";
import { useModels } from "@/data/kept";
import { RunView, watch } from "./view";

export interface AskedRun {
  readonly view: ShallowRef<RunView | null>;
  /** Start a run by a POST and show it. */
  ask(url: string, body: unknown, headers?: Record<string, string>): RunView;
  /** Show a run that is there. */
  show(id: string): RunView;
  /** Show the run that the address names, where it names one. */
  restore(): void;
  clear(): void;
}

export function useAskedRun(name = "run", onEvent?: (event: RunEvent) => void): AskedRun {
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

  function ask(url: string, body: unknown, headers?: Record<string, string>): RunView {
    const next = new RunView(
      (options) => openRun(url, { ...options, body, headers }),
      models.hueOf,
    );
    next.onEvent = (event) => {
      if (event.seq === 1 && view.value === next) write(next.id);
      onEvent?.(event);
    };
    set(next);
    return next;
  }

  function show(id: string): RunView {
    const next = watch(id, models.hueOf);
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
  return { view, ask, show, restore, clear };
}

/** Whether it still goes on. */
export function isLive(view: RunView | null): boolean {
  if (view === null || view.failure.value !== null) return false;
  return ["streaming", "stalled", "queued"].includes(view.snapshot.value.state);
}
