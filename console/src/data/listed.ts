/** A page of a list of the server, read again when the address changes. */

import { type ComputedRef, type ShallowRef, shallowRef, watch } from "vue";
import { useI18n } from "vue-i18n";
import { errorText } from "@/i18n/labels";
import { useAddress } from "./address";
import { getJson } from "./http";
import { newest } from "./newest";

export const PAGE = 50;

interface Page {
  readonly total: number;
}

export interface Listed<T extends Page = Page> {
  readonly found: Readonly<ShallowRef<T | null>>;
  readonly failure: Readonly<ShallowRef<string>>;
  readonly page: ComputedRef<number>;
  query(name: string): string;
  set(change: Readonly<Record<string, string>>): void;
}

/** `filters` are the names in the address that go into the request. */
export function useListed<T extends Page>(
  path: string,
  filters: readonly string[],
  more: object = {},
): Listed<T> {
  const { t, te } = useI18n();
  const { query, page, set, reach } = useAddress();
  const found: ShallowRef<T | null> = shallowRef(null);
  const failure = shallowRef("");
  const asking = newest();

  async function read(): Promise<void> {
    const isNewest = asking();
    const given = filters.map((name) => [name, query(name)]).filter(([, value]) => value);
    const rest = { ...more, offset: String((page.value - 1) * PAGE), limit: String(PAGE) };
    const params = new URLSearchParams({ ...Object.fromEntries(given), ...rest });
    try {
      const answer = await getJson<T>(`${path}?${params}`);
      if (!isNewest()) return;
      [found.value, failure.value] = [answer, ""];
      reach(answer.total, PAGE);
    } catch (error) {
      if (isNewest()) failure.value = errorText(error as never, t, te);
    }
  }
  watch(() => [...filters, "page"].map(query).join("\n"), read, { immediate: true });
  return { found, failure, query, page, set };
}
