/** Whether the screen is a phone's, as the styles see it. */

import { nextTick, onBeforeUnmount, type Ref, ref, watch } from "vue";

const QUERY = "(max-width: 760px)";

export function useNarrow(): Readonly<Ref<boolean>> {
  const media = matchMedia(QUERY);
  const isNarrow = ref(media.matches);
  const look = () => {
    isNarrow.value = media.matches;
  };
  media.addEventListener("change", look);
  onBeforeUnmount(() => media.removeEventListener("change", look));
  return isNarrow;
}

/** On a phone the form stands below its list: bring it into view when another one is opened. */
export function useReveal(form: Ref<HTMLElement | null>, opened: () => unknown): void {
  watch(opened, async (now) => {
    if (!now || !matchMedia(QUERY).matches) return;
    await nextTick();
    form.value?.scrollIntoView({ block: "start" });
  });
}
