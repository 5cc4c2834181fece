/** What a run did when: its attempts, and the calls of its tools. */

import type { RunEvent } from "unspool-client";

export interface CallTime {
  readonly step: string;
  readonly index: number;
  name: string;
  readonly beganMs: number;
  endedMs: number | null;
  /** Why the tool gave no answer. */
  code: string | null;
}

export class Spans {
  /** By the number of an attempt: when its first output came. */
  readonly firstMs = new Map<number, number>();
  readonly calls: CallTime[] = [];
  /** By step: when it began. */
  readonly beganMs = new Map<string, number>();
  readonly endedMs = new Map<string, number>();
  readonly #writers = new Map<string, number>();

  apply({ type, at_ms, data }: RunEvent): void {
    const step: string | undefined = data.step;
    if (step === undefined) return;
    if (type === "step.started" && !this.beganMs.has(step)) this.beganMs.set(step, at_ms);
    else if (type === "step.finished") this.endedMs.set(step, at_ms);
    else if (type === "attempt.started") this.#writers.set(step, data.number);
    else if (type.endsWith(".delta")) this.#output(step, at_ms);
    if (type === "tool.delta" || type === "tool.called") this.#call(step, at_ms, data);
    else if (type === "tool.answered") this.#answer(step, at_ms, data);
  }

  #output(step: string, at: number): void {
    const writer = this.#writers.get(step);
    if (writer !== undefined && !this.firstMs.has(writer)) this.firstMs.set(writer, at);
  }

  #call(step: string, at: number, data: RunEvent["data"]): void {
    const call = this.#open(step, data.index);
    if (call !== undefined) call.name ||= data.name ?? "";
    else {
      const facts = { step, index: data.index, name: data.name ?? "" };
      this.calls.push({ ...facts, beganMs: at, endedMs: null, code: null });
    }
  }

  #answer(step: string, at: number, data: RunEvent["data"]): void {
    const call = this.#open(step, data.index);
    if (call === undefined) return;
    call.endedMs = at;
    call.code = data.code ?? null;
  }

  #open(step: string, index: number): CallTime | undefined {
    return this.calls.findLast((call) => call.step === step && call.index === index);
  }
}
