/** Cancel a run, and say so where that has failed. */

import type { RunView } from "@/live/view";
import { sayError } from "@/words/say";
import { toast } from "./toast";

export async function cancelRun(
  view: RunView | null | undefined,
  t: Parameters<typeof sayError>[1],
  te: Parameters<typeof sayError>[2],
): Promise<void> {
  await view?.cancel().catch((error) => toast(sayError(error, t, te), "bad"));
}
