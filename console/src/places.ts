/** The places of the navigation: how the rail, the phone's bar and its sheet group them. */

import type { IconName } from "@/styles/shapes";

export interface Place {
  readonly name: IconName;
  readonly path: string;
  /** The letter that opens it after `g`. */
  readonly key: string;
  /** Other addresses that belong to it. */
  readonly also?: readonly string[];
  /** On a narrow screen it has a place in the bar; the sheet has the others. */
  readonly isMajor?: boolean;
  /** It has a use only where the server wants keys. */
  readonly isForKeys?: boolean;
}

export interface PlaceGroup {
  readonly name: "make" | "log" | "supply" | "about";
  readonly places: readonly Place[];
}

export const GROUPS: readonly PlaceGroup[] = [
  {
    name: "make",
    places: [
      { name: "debug", path: "/pages/debug.html", key: "d", isMajor: true },
      { name: "copy", path: "/copy", key: "c", isMajor: true },
      { name: "extraction", path: "/extraction", key: "e", also: ["/graph"], isMajor: true },
      { name: "story", path: "/story", key: "s" },
      { name: "flows", path: "/flows", key: "f" },
    ],
  },
  {
    name: "log",
    places: [
      { name: "runs", path: "/runs", key: "r", also: ["/view"], isMajor: true },
      { name: "cases", path: "/cases", key: "k", also: ["/experiments"] },
    ],
  },
  {
    name: "supply",
    places: [
      { name: "models", path: "/models", key: "m" },
      { name: "prompts", path: "/prompts", key: "p" },
      { name: "tools", path: "/tools", key: "t" },
      { name: "data", path: "/data", key: "a" },
      { name: "usage", path: "/usage", key: "u" },
    ],
  },
  {
    name: "about",
    places: [
      { name: "guide", path: "/guide", key: "h" },
      { name: "keys", path: "/keys", key: "y", isForKeys: true },
      { name: "settings", path: "/settings", key: "," },
    ],
  },
];

export const PLACES: readonly Place[] = GROUPS.flatMap((group) => group.places);

/** The places of a group that this server has a use for. */
export function shownPlaces(group: PlaceGroup | undefined, wantsKeys: boolean): readonly Place[] {
  return (group?.places ?? []).filter((place) => wantsKeys || !place.isForKeys);
}

/** Whether an address belongs to a place. */
export function isAt(place: Place, path: string): boolean {
  return [place.path, ...(place.also ?? [])].some(
    (each) => path === each || path.startsWith(`${each}/`),
  );
}
