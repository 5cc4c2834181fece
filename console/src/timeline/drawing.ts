/** What a timeline is drawn from, and on. */

import type { Theme } from "@/styles/theme";
import type { TimelineShape } from "./fold";

export interface Viewer {
  readonly atS: number;
  readonly name: string;
  readonly isMe: boolean;
}

export interface Drawing {
  readonly shape: TimelineShape;
  readonly nowS: number;
  /** When it is expected to end. */
  readonly etaS: number | null;
  /** Seconds of the whole width; null: as long as this run. */
  readonly spanS?: number | null;
  /** Tokens a second of the full thickness; null: the fastest of this run. */
  readonly most?: number | null;
  /** Whether no model is asked now: nothing can arrive, so the line is dotted and not slack. */
  readonly isWaiting?: boolean;
  readonly viewers?: readonly Viewer[];
  readonly scrubS?: number | null;
  readonly seamLabel?: (seq: number) => string;
}

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly isSmall: boolean;
  /** No axis and no labels. */
  readonly isPlain: boolean;
  readonly theme: Theme;
  readonly ratio: number;
}
