/**
 * Follow the end of something that grows, until the reader scrolls up.
 *
 * `isFollowing` is true only while the end really is kept in view: a page may light a lamp by it.
 */

import { computed, onBeforeUnmount, onMounted, type Ref, ref, watch } from "vue";

/** Closer to the end than this counts as being there: half a line of text. */
const NEAR_PX = 24;

export interface Following {
  readonly isFollowing: Ref<boolean>;
  /** What came since the reader scrolled up, in the units of `count`. */
  readonly behind: Readonly<Ref<number>>;
  /** Return to the end, and follow again. */
  toEnd(): void;
  /** Stay here. */
  leave(): void;
}

export interface Follow {
  /** What grows. It, or the nearest element around it that scrolls, is scrolled. */
  readonly content: Ref<HTMLElement | null>;
  /** Whether it still grows; what has ended is read from its beginning. */
  readonly isLive: () => boolean;
  /** How much there is, to tell how much is new. */
  readonly count: () => number;
}

export function useFollow({ content, isLive, count }: Follow): Following {
  const isFollowing = ref(false);
  const seen = ref(0);
  const behind = computed(() => (isFollowing.value ? 0 : Math.max(0, count() - seen.value)));
  let scroller: HTMLElement | null = null;
  let lastTop = 0;

  /** Pixels from the visible bottom to the end of the content; negative where it is in view. */
  function distance(): number {
    if (scroller === null || content.value === null) return 0;
    const end = content.value === scroller ? null : content.value.getBoundingClientRect().bottom;
    if (end === null) return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    return end - scroller.getBoundingClientRect().top - scroller.clientHeight;
  }

  function stick(): void {
    if (!isFollowing.value || scroller === null) return;
    const left = distance();
    if (left > 0) scroller.scrollTop += left;
    lastTop = scroller.scrollTop;
  }

  function scrolled(): void {
    if (scroller === null) return;
    const top = scroller.scrollTop;
    // Text that grows moves the end away without the reader: only a way up leaves it.
    if (top < lastTop - 1 && distance() > NEAR_PX) leave();
    else if (!isFollowing.value && isLive() && top > lastTop && distance() <= NEAR_PX) join();
    lastTop = top;
  }

  function join(): void {
    isFollowing.value = true;
  }

  function leave(): void {
    if (isFollowing.value) seen.value = count();
    isFollowing.value = false;
  }

  function toEnd(): void {
    isFollowing.value = isLive();
    seen.value = count();
    if (scroller !== null) scroller.scrollTop += Math.max(0, distance());
    lastTop = scroller?.scrollTop ?? 0;
  }

  const watching = new ResizeObserver(stick);

  /** The sizes of the children count: a box that scrolls keeps its own. */
  const growing = new MutationObserver(() => observe());
  function observe(): void {
    for (const part of content.value?.children ?? []) watching.observe(part);
  }

  onMounted(() => {
    if (content.value === null) return;
    scroller = scrollerOf(content.value);
    scroller.addEventListener("scroll", scrolled, { passive: true });
    watching.observe(content.value);
    observe();
    growing.observe(content.value, { childList: true });
  });
  // The first time that it is known to be live, the reader is taken to the end.
  watch(isLive, (now) => {
    if (now && (scroller?.scrollTop ?? 0) <= lastTop) join();
    if (!now) leave();
    stick();
  });
  onBeforeUnmount(() => {
    scroller?.removeEventListener("scroll", scrolled);
    watching.disconnect();
    growing.disconnect();
  });
  return { isFollowing, behind, toEnd, leave };
}

/** The nearest element, from this one up, that can scroll. */
function scrollerOf(element: HTMLElement): HTMLElement {
  for (let at: HTMLElement | null = element; at !== null; at = at.parentElement)
    if (/auto|scroll/.test(getComputedStyle(at).overflowY)) return at;
  return document.documentElement;
}
