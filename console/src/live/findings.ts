/** Warnings of a run by step: findings (code `ungrounded`), and why a template wrote. */

import type { RunEvent } from "unspool-client";

export interface Finding {
  /** Stable word of the server, the key of its label. */
  readonly kind: string;
  readonly message: string;
  readonly quote: string;
  readonly known: string;
  /** Number of the scene that it concerns, in a story. */
  readonly scene?: number;
}

/** What went wrong with a step, so that the flow helped itself. */
export interface Trouble {
  readonly code: string;
  readonly message: string;
}

/** A rule that a text does not keep, in values. */
export interface Problem {
  readonly kind: string;
  readonly quote: string;
  readonly known: string;
}

export class Findings {
  readonly #byStep = new Map<string, Finding[]>();
  readonly #problems = new Map<string, readonly Problem[]>();
  readonly #unsteered = new Map<string, readonly string[]>();
  readonly #troubles = new Map<string, Trouble>();

  apply({ type, data }: RunEvent): void {
    if (type === "step.rewound") this.#byStep.delete(data.step);
    if (type !== "warning.raised") return;
    if (data.code !== "ungrounded") {
      const { step, code, message = "" } = data;
      if (code === "rules") this.#problems.set(step, data.problems ?? []);
      else if (code === "unsteered") this.#unsteered.set(step, data.kinds ?? []);
      else if (step !== undefined && code !== undefined)
        this.#troubles.set(step, { code, message });
      return;
    }
    const { step = "", kind = "", message = "", quote = "", known = "", scene } = data;
    const found = this.#byStep.get(step) ?? [];
    found.push({ kind, message, quote, known, ...(scene === undefined ? {} : { scene }) });
    this.#byStep.set(step, found);
  }

  /** The latest trouble of a step, if it had any. */
  troubleOf(step: string): Trouble | null {
    return this.#troubles.get(step) ?? null;
  }

  /** The rules that a step's text does not keep. */
  problemsOf(step: string): readonly Problem[] {
    return this.#problems.get(step) ?? [];
  }

  /** The wishes that a step's writer could not follow. */
  unsteeredOf(step: string): readonly string[] {
    return this.#unsteered.get(step) ?? [];
  }

  of(step: string): readonly Finding[] {
    return [...(this.#byStep.get(step) ?? [])];
  }
}
