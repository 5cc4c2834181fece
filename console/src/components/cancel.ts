/** Cancel a run, and show why where that failed. */

import { errorText } from "@/i18n/labels";
import type { RunView } from "@/live/runView";
import { toast } from "./toast";

export async function cancelRun(
  view: RunView | null | undefined,
  t: Parameters<typeof errorText>[1],
  te: Parameters<typeof errorText>[2],
): Promise<void> {
  await view?.cancel().catch((error) => toast(errorText(error, t, te), "bad"));
}
