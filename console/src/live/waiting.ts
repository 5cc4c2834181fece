/** Why nothing is written right now, as the log has it: a rate limit is no silence of a model. */

import type { RunEvent, RunFold } from "unspool-client";

export type Waiting =
  | {
      readonly kind: "retry";
      readonly code: string;
      readonly inS: number;
      /** Which attempt it will be; null: not known. */
      readonly time: number | null;
    }
  | { readonly kind: "line"; readonly place: number; readonly model: string };

interface Retry {
  readonly code: string;
  /** When the model is asked again, by the log's clock. */
  readonly atMs: number;
  /** Which attempt at this step it will be. */
  readonly time: number;
}

/** The steps whose model is to be asked again. */
export class Retries {
  readonly #byStep = new Map<string, Retry>();
  readonly #attempts = new Map<string, number>();

  apply({ type, at_ms, data }: RunEvent): void {
    const step: string | undefined = data.step;
    if (step === undefined) return;
    if (type === "attempt.failed" && data.retry_in_s > 0) {
      const time = (this.#attempts.get(step) ?? 0) + 1;
      this.#byStep.set(step, { code: data.code, atMs: at_ms + data.retry_in_s * 1000, time });
    } else if (type === "attempt.started") {
      this.#attempts.set(step, (this.#attempts.get(step) ?? 0) + 1);
      this.#byStep.delete(step);
    } else if (type === "step.finished") {
      this.#byStep.delete(step);
    }
  }

  of(step: string, nowMs: number): Waiting | null {
    const retry = this.#byStep.get(step);
    return retry === undefined ? null : waitOf(retry, nowMs);
  }

  /** The next of all. */
  next(nowMs: number): Waiting | null {
    const [first] = [...this.#byStep.values()].sort((a, b) => a.atMs - b.atMs);
    return first === undefined ? null : waitOf(first, nowMs);
  }
}

function waitOf({ code, atMs, time }: Retry, nowMs: number): Waiting {
  return { kind: "retry", code, inS: Math.max(0, Math.ceil((atMs - nowMs) / 1000)), time };
}

/** What a run waits for; null while any model of it is asked. */
export function waitingOf(fold: RunFold, retries: Retries, nowMs: number): Waiting | null {
  if (fold.isEnded || fold.attempts.some((attempt) => attempt.status === "running")) return null;
  const { place, model } = fold.waiting ?? {};
  if (place !== undefined) return { kind: "line", place, model };
  return retries.next(nowMs);
}
