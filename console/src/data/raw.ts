/** What an attempt sent to its provider, and what came back; see docs/protocol/native.md. */

import { getJson } from "./http";

export interface RawJson {
  /** Null: the server kept none for this attempt. */
  readonly request: unknown;
  readonly response: {
    readonly status: number;
    readonly head: string;
    readonly tail: string;
    readonly left_out_bytes: number;
  } | null;
  /** Whether the server keeps those of new runs. */
  readonly is_kept: boolean;
}

export const readRaw = (run: string, attempt: number): Promise<RawJson> =>
  getJson<RawJson>(`/v1/runs/${run}/attempts/${attempt}/raw`);
