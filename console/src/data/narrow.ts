/** Whether the screen is a phone's, as the styles see it. */

import { onBeforeUnmount, type Ref, ref } from "vue";

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
