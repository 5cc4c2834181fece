/**
 * Parts of the console that load on first use, and do not come: the server does not answer, or
 * has a newer console with parts of other names.
 */

import type { Router } from "vue-router";

const failures = new WeakSet<object>();
let isOneMissing = false;

addEventListener("vite:preloadError", (event) => {
  failures.add(event.payload);
  isOneMissing = true;
});

export function isMissingPart(error: unknown): boolean {
  return typeof error === "object" && error !== null && failures.has(error);
}

/**
 * Load the whole page anew for a place whose part did not come, once the server answers. Vite
 * would not ask again for a style sheet that failed: the place would be shown without it.
 */
export function loadAnew(router: Router, say: (error: unknown) => void): void {
  router.onError(async (error, to) => {
    if (!isMissingPart(error)) return;
    // A place that was just loaded would be loaded anew for ever.
    if (to.fullPath !== address() && (await answers())) location.assign(to.fullPath);
    else say(error);
  });
  router.beforeEach(async (to, from) => {
    if (!isOneMissing || to.name === from.name || !(await answers())) return true;
    location.assign(to.fullPath);
    return false;
  });
}

const address = () => location.pathname + location.search + location.hash;

async function answers(): Promise<boolean> {
  try {
    return (await fetch("/readyz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
