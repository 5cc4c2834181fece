/** Runs made of other runs. */

import type { RunModel } from "@/live/runModel";
import { sendJson } from "./http";
import type { RunJson } from "./types";

interface Changes {
  /** The last event that is taken over; the newest one by default. */
  readonly after?: number;
  readonly input?: Readonly<Record<string, unknown>>;
  readonly model?: string;
  readonly texts?: Readonly<Record<string, string>>;
  readonly cancel?: boolean;
}

/** The place before the first event: the same request, asked anew. */
export const FROM_THE_START = 0;

export async function fork(run: string, changes: Changes): Promise<string> {
  return (await sendJson<RunJson>("POST", `/v1/runs/${run}/fork`, changes)).id;
}

/** Go on where a run ended; a step that its limit of tokens cut off is open again. */
export function goOn(run: string, { fold }: RunModel): Promise<string> {
  const cut = [...fold.steps.values()].filter(
    (step) => step.finishReason === "length" && !step.isUnseen,
  );
  if (cut.length === 0) return fork(run, {});
  return fork(run, { texts: Object.fromEntries(cut.map((step) => [step.name, step.text])) });
}

/** The field of an input that says what is wanted, if it has one in words. */
export function wishField(input: Readonly<Record<string, unknown>>): string | null {
  const names = ["prompt", "question", "wish"];
  return names.find((name) => typeof input[name] === "string") ?? null;
}
