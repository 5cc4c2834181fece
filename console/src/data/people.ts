/** People whose events are extracted. */

import type { TimelineJson } from "./timelines";
import type { RunHead } from "./types";

export interface PersonJson {
  readonly id: string;
  readonly name: string;
  readonly behaviors: number;
  readonly events: number;
  readonly run: string | null;
}

/** An extraction and its timeline. */
export interface Extraction {
  readonly run: RunHead;
  readonly timeline: TimelineJson;
}
