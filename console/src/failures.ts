/** Failures that no page handles: what a request came to is said, all else is a fault of ours. */

import type { App } from "vue";
import type { Router } from "vue-router";
import { readyToToast, toast } from "./components/toast";
import { ApiError } from "./data/http";
import { i18n } from "./i18n";
import { errorText } from "./i18n/labels";
import { isMissingPart, loadAnew } from "./parts";

/** Say it, if it is what a request came to; return whether it is. */
function say(error: unknown): boolean {
  const { t, te } = i18n.global;
  if (error instanceof ApiError) show(errorText(error, t, te));
  else if (isMissingPart(error)) show(t("error.part"));
  else return false;
  return true;
}

/** Messages are a part as well: where they do not come, there is nothing left to say it with. */
function show(message: string): void {
  toast(message, "bad").catch(() => {});
}

export function sayFailures(app: App, router: Router): void {
  loadAnew(router, say);
  // A server that answers no more would not give the message about it.
  addEventListener("load", () => readyToToast().catch(() => {}));
  app.config.errorHandler = (error) => {
    if (!say(error)) reportError(error);
  };
  addEventListener("unhandledrejection", (event) => {
    if (say(event.reason)) event.preventDefault();
  });
}
