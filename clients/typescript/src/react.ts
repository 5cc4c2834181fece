"use client";
/** A run in a component of React: `const { text, start, cancel } = useRun({ remember: "chat" })`. */

import { useEffect, useState, useSyncExternalStore } from "react";
import { IDLE, type RunActions, type RunOptions, type RunState, WatchedRun } from "./watched.ts";

export type { RunActions, RunOptions, RunState, ShownStep } from "./watched.ts";

/**
 * The state of a run, and what can be done with it; the functions are the same in every render.
 *
 * The component's end leaves the run, which goes on.
 */
export function useRun(options: RunOptions = {}): RunState & RunActions {
  const [watched] = useState(() => new WatchedRun(options));
  const state = useSyncExternalStore(watched.subscribe, watched.read, () => IDLE);
  useEffect(() => watched.use(options));
  useEffect(() => {
    watched.enter();
    return watched.leave;
  }, [watched]);
  return { ...state, ...watched.actions };
}
