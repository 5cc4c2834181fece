/** Share links of a run; and the run that a link shows to people without a key. */

import { getJson, sendJson } from "./http";

export interface ShareJson {
  readonly id: string;
  readonly text_only: boolean;
  readonly created_at: string;
  readonly expires_at: string | null;
  /** Told once, when the link is made. */
  readonly path?: string;
}

const placeOf = (run: string) => `/v1/runs/${run}/shares`;

export async function readShares(run: string): Promise<readonly ShareJson[]> {
  return (await getJson<{ shares: ShareJson[] }>(placeOf(run))).shares.reverse();
}

export const makeShare = (
  run: string,
  wanted: { text_only: boolean; days: number | null },
): Promise<ShareJson> => sendJson("POST", placeOf(run), wanted);

export const revokeShare = (run: string, { id }: ShareJson): Promise<void> =>
  sendJson("DELETE", `${placeOf(run)}/${id}`);

/** What a link shows; the second half is missing where it shows text alone. */
export interface SharedRun {
  readonly text_only: boolean;
  readonly status: string;
  readonly parts: readonly string[];
  readonly created_at: string;
  readonly ended_at: string | null;
  readonly expires_at: string | null;
  readonly flow?: string;
  readonly model?: string;
  readonly input?: Readonly<Record<string, unknown>>;
  readonly attempts?: readonly SharedAttempt[];
  readonly cost?: { readonly amount: number; readonly currency: string } | null;
  readonly warnings?: readonly string[];
  readonly error?: { readonly code: string; readonly message: string } | null;
  readonly total_ms?: number | null;
}

interface SharedAttempt {
  readonly number: number;
  readonly model: string;
  readonly status: string;
  readonly error: { readonly code: string } | null;
}

/** A frame of the stream of a link. */
export type SharedFact =
  | { readonly type: "running" | "waiting" }
  | { readonly type: "text"; readonly part: number; readonly text: string }
  | { readonly type: "rewound"; readonly part: number; readonly at: number }
  | { readonly type: "ended"; readonly status: string };

/** The run of a link; null: the link does not hold. No key is asked for. */
export async function readShared(token: string): Promise<SharedRun | null> {
  const response = await fetch(`/v1/shared/${encodeURIComponent(token)}`, { cache: "no-store" });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

export const sharedEvents = (token: string): EventSource =>
  new EventSource(`/v1/shared/${encodeURIComponent(token)}/events`);
