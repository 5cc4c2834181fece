/** The one thing that a viewer of a run should know now. */

import type { Contact } from "unspool-client";
import { errorText, pageFor } from "@/i18n/labels";
import type { Snapshot } from "./snapshot";
import { waitText } from "./stateWords";

type Translate = Parameters<typeof errorText>[1];
type Knows = Parameters<typeof errorText>[2];

export interface Notice {
  readonly kind: "bad" | "warn" | "fresh" | "plain";
  readonly text: string;
  /** What it offers. */
  readonly offer: "reconnect" | "continue" | "retry" | null;
  /** The page where it can be mended. */
  readonly page: string | null;
  /** In the provider's own words. */
  readonly said: string;
  readonly isWaiting?: boolean;
}

interface Seen {
  readonly snapshot: Snapshot;
  readonly contact: Contact;
  readonly failure: (Error & { code?: string; serverCode?: string | null }) | null;
  readonly resumedAt: number | null;
}

const plain = { offer: null, page: null, said: "" } as const;

/** A lost connection first, then what the model is at, then how the run ended. */
export function noticeOf(seen: Seen, t: Translate, te: Knows): Notice | null {
  const { snapshot, contact, failure, resumedAt } = seen;
  if (failure !== null) {
    const code = failure.serverCode ?? failure.code ?? "internal";
    const text = errorText({ code, message: failure.message }, t, te);
    return { ...plain, kind: "bad", text };
  }
  if (contact === "away")
    return { ...plain, kind: "warn", text: t("run.away"), offer: "reconnect" };
  if (contact === "waiting")
    return { ...plain, kind: "warn", text: t(snapshot.seq > 0 ? "run.waiting" : "run.unreached") };
  if (resumedAt !== null)
    return { ...plain, kind: "fresh", text: t("run.resumed", { seq: resumedAt }) };
  if (snapshot.waiting !== null) {
    const { waiting } = snapshot;
    const text =
      waiting.kind === "line"
        ? t("run.inLine", { n: waiting.place, model: waiting.model })
        : waitText(waiting, t, te);
    return { ...plain, kind: "plain", text, said: saidBy(snapshot), isWaiting: true };
  }
  if (snapshot.state === "stalled") {
    const n = Math.floor(snapshot.stalledS ?? 0);
    return { ...plain, kind: "warn", text: t("run.stalled", { n }), isWaiting: true };
  }
  return endOf(snapshot, t, te);
}

function endOf(snapshot: Snapshot, t: Translate, te: Knows): Notice | null {
  const { error, state } = snapshot;
  if (error === null) return null;
  const why = errorText(error, t, te);
  const page = pageFor(error.code);
  const kinds = { failed: "bad", cancelled: "plain" } as const;
  return {
    kind: kinds[state as keyof typeof kinds] ?? "warn",
    text: state === "incomplete" ? t("run.incomplete", { why }) : why,
    offer: page !== null ? null : state === "failed" ? "retry" : "continue",
    page,
    said: state === "cancelled" ? "" : saidBy(snapshot),
  };
}

/** The last that a provider said; the run's own message is made of it. */
function saidBy({ attempts, error }: Snapshot): string {
  return attempts.findLast(({ message }) => message !== null)?.message ?? error?.message ?? "";
}
