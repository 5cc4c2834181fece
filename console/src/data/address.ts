/** Filters and the page of a list, kept in the address. */

import { computed } from "vue";
import { useRoute, useRouter } from "vue-router";

export function useAddress() {
  const route = useRoute();
  const router = useRouter();

  const query = (name: string) => String(route.query[name] ?? "");

  /** Change some; an empty one goes, and the list begins at its first page again. */
  function set(change: Readonly<Record<string, string>>): void {
    const next = { ...route.query, page: undefined, ...change };
    const kept = Object.entries(next).filter(([, value]) => value);
    void router.replace({ query: Object.fromEntries(kept) });
  }

  const page = computed(() => Math.max(1, Number(query("page")) || 1));

  /** Go to the last page of a list that is shorter than its address says. */
  function reach(total: number, size: number): void {
    const last = Math.max(1, Math.ceil(total / size));
    if (page.value > last) set({ page: String(last) });
  }
  return { query, set, page, reach };
}
