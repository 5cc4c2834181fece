/** A run in a component of Vue: `const { text, start, cancel } = useRun({ remember: "chat" })`. */

import {
  type ComputedRef,
  computed,
  getCurrentInstance,
  getCurrentScope,
  onMounted,
  onScopeDispose,
  shallowRef,
} from "vue";
import { IDLE, type RunActions, type RunOptions, type RunState, WatchedRun } from "./watched.ts";

export type { RunActions, RunOptions, RunState, ShownStep } from "./watched.ts";

export type RunRefs = { readonly [Name in keyof RunState]: ComputedRef<RunState[Name]> };

/**
 * The state of a run, each part a ref to read, and what can be done with it.
 *
 * The component's end leaves the run, which goes on. Outside of a component it belongs to the
 * effect scope around it.
 */
export function useRun(options: RunOptions = {}): RunRefs & RunActions {
  const watched = new WatchedRun(options);
  const state = shallowRef(watched.read());
  const unsubscribe = watched.subscribe(() => {
    state.value = watched.read();
  });
  // On a server nothing is mounted; in a browser what the server rendered is taken over before.
  if (getCurrentInstance()) onMounted(watched.enter);
  else if (typeof document !== "undefined") watched.enter();
  if (getCurrentScope()) {
    onScopeDispose(() => {
      unsubscribe();
      watched.leave();
    });
  }
  const names = Object.keys(IDLE) as (keyof RunState)[];
  const refs = names.map((name) => [name, computed(() => state.value[name])]);
  return { ...(Object.fromEntries(refs) as RunRefs), ...watched.actions };
}
