/** The runs that a batch has started, as its own log tells of them. */

import type { RunEvent } from "unspool-client";
import type { StateName } from "@/styles/shapes";

export interface Child {
  readonly number: number;
  /** Null: it could not be started. */
  run: string | null;
  state: StateName;
  /** Pieces of text so far, as often as the batch tells. */
  pieces: number;
  /** Items found, once it has ended. */
  items: number | null;
  code: string | null;
  message: string | null;
}

const KINDS = new Set(["child", "child_progress", "child_ended"]);

export class Children {
  readonly list: Child[] = [];
  readonly #byNumber = new Map<number, Child>();

  apply({ type, data }: RunEvent): void {
    if (type !== "item.found" || !KINDS.has(data.kind)) return;
    const { number, run = null, pieces, status, items, error } = data.item ?? {};
    if (number === undefined) return;
    const child = this.#of(number);
    child.run = run ?? child.run;
    if (data.kind === "child_progress") child.pieces = pieces ?? child.pieces;
    if (data.kind !== "child_ended") return;
    child.state = status;
    child.items = items ?? null;
    child.code = error?.code ?? null;
    child.message = error?.message ?? null;
  }

  /** How many there are of each state. */
  get counts(): ReadonlyMap<StateName, number> {
    const counts = new Map<StateName, number>();
    for (const { state } of this.list) counts.set(state, (counts.get(state) ?? 0) + 1);
    return counts;
  }

  #of(number: number): Child {
    let child = this.#byNumber.get(number);
    if (child === undefined) {
      const facts = { pieces: 0, items: null, code: null, message: null };
      child = { number, run: null, state: "streaming", ...facts };
      this.#byNumber.set(number, child);
      this.list.push(child);
    }
    return child;
  }
}
