/** Failures that no page handles: what a request came to is said, all else is a fault of ours. */

import type { App } from "vue";
import { toast } from "./components/toast";
import { ApiError } from "./data/http";
import { i18n } from "./i18n";
import { errorText } from "./i18n/labels";

/** Say it, if it is what a request came to; return whether it is. */
function say(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const { t, te } = i18n.global;
  void toast(errorText(error, t, te), "bad");
  return true;
}

export function sayFailures(app: App): void {
  app.config.errorHandler = (error) => {
    if (!say(error)) reportError(error);
  };
  addEventListener("unhandledrejection", (event) => {
    if (say(event.reason)) event.preventDefault();
  });
}
