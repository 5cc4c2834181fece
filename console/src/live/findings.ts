/** Findings of a run: warnings with the code `ungrounded`, by step. */

import type { RunEvent } from "unspool-client";

export interface Finding {
  /** Stable word of the server, the key of its label. */
  readonly kind: string;
  readonly message: string;
  readonly quote: string;
  readonly known: string;
}

export class Findings {
  readonly #byStep = new Map<string, Finding[]>();

  apply({ type, data }: RunEvent): void {
    if (type === "step.rewound") this.#byStep.delete(data.step);
    if (type !== "warning.raised" || data.code !== "ungrounded") return;
    const { step = "", kind = "", message = "", quote = "", known = "" } = data;
    const found = this.#byStep.get(step) ?? [];
    found.push({ kind, message, quote, known });
    this.#byStep.set(step, found);
  }

  of(step: string): readonly Finding[] {
    return [...(this.#byStep.get(step) ?? [])];
  }
}
