/** Labels beside edges: where they stand, those that would be over another one left out. */

import type { EdgeJson } from "@/data/graphs";
import type { EdgePlace, Place } from "./layout";

export interface DrawnEdge {
  readonly edge: EdgeJson;
  readonly key: string;
  readonly place: EdgePlace;
  readonly isHot: boolean;
}

export interface Label {
  readonly key: string;
  readonly text: string;
  readonly at: Place;
  readonly isHot: boolean;
}

/** Beyond this many edges, only those under the cursor or chosen have labels. */
const MAX_LABELS = 14;

/** Parts of an edge where its label may stand, the best one first. */
const PARTS = [0.5, 0.32, 0.68, 0.2, 0.8];
const ROOM = { across: 76, down: 15 };

export const percent = (share: number) => `${Math.round(share * 100)}%`;

/** The share of all people that take the step. */
export function supportOf({ evidence }: EdgeJson): number {
  if (evidence === undefined) return 1;
  const all = evidence.people_before + evidence.people_without;
  return all === 0 ? 0 : evidence.people / all;
}

export function labelsOf(drawn: readonly DrawnEdge[]): Label[] {
  const placed: Place[] = [];
  const areFew = drawn.length <= MAX_LABELS;
  return drawn.flatMap(({ edge, key, place, isHot }) => {
    if (edge.evidence === undefined || !(isHot || areFew)) return [];
    const [a, b] = place.isUp ? [...place.points].reverse() : place.points;
    if (a === undefined || b === undefined) return [];
    for (const part of PARTS) {
      // On the curve of `pathOf`.
      const ease = part * part * (3 - 2 * part);
      const at = { x: a.x + (b.x - a.x) * ease, y: a.y + (b.y - a.y) * part };
      const isTaken = placed.some(
        (one) => Math.abs(one.x - at.x) < ROOM.across && Math.abs(one.y - at.y) < ROOM.down,
      );
      if (isTaken) continue;
      placed.push(at);
      const { rate, lift } = edge.evidence;
      const text = percent(rate) + (lift === null ? "" : ` ×${lift.toFixed(2)}`);
      return [{ key, text, at, isHot }];
    }
    return [];
  });
}
