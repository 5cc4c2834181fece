/**
 * Tells once how an extraction ended, as the contract words it.
 *
 * The id of the run whose ending is news here outlasts a reload, so the page shows the ending
 * whenever it comes; a run that ended before anybody came is no news.
 */

import { toast } from "@/components/toast";
import type { RunView } from "./runView";

const AWAITED = "unspool.extraction.awaited";

export function awaitEnd(view: RunView | null): void {
  if (view?.id && !view.runModel.fold.isEnded) sessionStorage.setItem(AWAITED, view.id);
}

/** Show how the run ended, from its own events, and return whether that was news. */
export function tellEnd(view: RunView): boolean {
  const { fold, input } = view.runModel;
  if (!fold.isEnded || sessionStorage.getItem(AWAITED) !== view.id) return false;
  sessionStorage.removeItem(AWAITED);
  const what = `用户 [${input.user_id ?? ""}] 事件抽象`;
  if (fold.status === "completed") void toast(`${what}完成`);
  else {
    const kind = fold.status === "cancelled" ? "cancelled" : "bad";
    void toast(`${what}失败: ${fold.error?.message ?? fold.status}`, kind);
  }
  return true;
}
