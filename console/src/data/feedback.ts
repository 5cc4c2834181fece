/** What people think of a run; one opinion per run. */

import { getJson, sendJson } from "./http";

export interface FeedbackJson {
  readonly verdict: "up" | "down";
  readonly note: string;
  readonly updated_at: string;
}

export async function readFeedback(run: string): Promise<FeedbackJson | null> {
  return (await getJson<{ feedback: FeedbackJson | null }>(`/v1/runs/${run}/feedback`)).feedback;
}

export async function giveFeedback(
  run: string,
  verdict: FeedbackJson["verdict"] | null,
  note: string,
): Promise<FeedbackJson | null> {
  const body = { verdict, note };
  return (
    await sendJson<{ feedback: FeedbackJson | null }>("POST", `/v1/runs/${run}/feedback`, body)
  ).feedback;
}
