/** The failed runs of a batch, as a batch of their own. */

import type { RunModel } from "@/live/runModel";
import { sendJson } from "./http";
import type { RunJson } from "./types";

/** Whether a run only starts others, by what it was asked. */
export const isBatchInput = (input: Readonly<Record<string, unknown>>): boolean =>
  Array.isArray(input.items) || Array.isArray(input.user_ids);

/** Start a batch of the inputs with these numbers, counted from 1; return its id. */
export async function retryNumbers(
  { input, flow, model }: RunModel,
  numbers: readonly number[],
): Promise<string> {
  // The server has put the people of a filter (`which`) into the list.
  const { which: _, ...rest } = input;
  const name = Array.isArray(input.items) ? "items" : "user_ids";
  const listed = input[name] as readonly unknown[];
  const again = { ...rest, [name]: numbers.map((number) => listed[number - 1]) };
  return (await sendJson<RunJson>("POST", "/v1/runs", { flow, model, input: again })).id;
}
