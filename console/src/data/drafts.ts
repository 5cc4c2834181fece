/** What somebody has typed and not yet sent, kept for this tab of the browser. */

import { type Ref, ref, watch } from "vue";

/** A text that a reload does not lose; empty is as if it were never typed. */
export function useDraft(key: string): Ref<string> {
  const draft = ref(sessionStorage.getItem(key) ?? "");
  watch(draft, (text) => {
    try {
      if (text) sessionStorage.setItem(key, text);
      else sessionStorage.removeItem(key);
    } catch {
      // The browser's store is full: the text stays on the page all the same.
    }
  });
  return draft;
}
