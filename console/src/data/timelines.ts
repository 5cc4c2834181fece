/** Timelines of many runs, folded by the server. */

import { flowLabel } from "@/i18n/labels";
import type { Money } from "@/live/snapshot";
import type { Drawing } from "@/timeline/drawing";
import type { Bracket, Stretch, TimelineShape } from "@/timeline/fold";
import { type Hue, Hues } from "@/timeline/hues";
import { getJson } from "./http";

type Translate = Parameters<typeof flowLabel>[1];
type Knows = Parameters<typeof flowLabel>[2];

export interface SeamJson {
  readonly t0: number;
  readonly t1: number;
  readonly seq: number;
  readonly cause: string;
  readonly from: string;
  readonly to: string;
  readonly strategy: string;
}

export interface WaitJson {
  readonly t0: number;
  /** When it was over; null: it goes on. */
  readonly t1: number | null;
  /** When the next request is due; null: nobody knows. */
  readonly until: number | null;
  /** The code of the failure before it, or `queued`, or `question`. */
  readonly cause: string;
  readonly model: string;
  readonly place: number | null;
}

export interface TimelineJson {
  readonly run: string;
  readonly end: TimelineShape["end"];
  readonly last_s: number;
  readonly about: Readonly<Record<string, string | number | boolean>>;
  readonly bucket_s: number;
  readonly stretches: readonly {
    readonly model: string;
    readonly t0: number;
    readonly t1: number;
    readonly per_s: readonly number[];
  }[];
  readonly seams: readonly SeamJson[];
  readonly attempts: readonly {
    readonly model: string;
    readonly status: string;
    readonly strategy: string;
  }[];
  readonly recoveries: number;
  /** Pauses that the server made before it asked a model again, or in the line at one. */
  readonly waits: readonly WaitJson[];
  readonly progress: { readonly current: number; readonly total: number } | null;
  readonly tokens: number;
  readonly tokens_basis: "measured" | "estimated";
  readonly cost: Money | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly viewers: number;
}

/** Runs in one request; the server's own limit is twice that. */
const AT_ONCE = 50;

export async function readTimelines(ids: readonly string[]): Promise<TimelineJson[]> {
  const found: TimelineJson[] = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const query = ids.slice(at, at + AT_ONCE).map((id) => `run=${encodeURIComponent(id)}`);
    const { timelines } = await getJson<{ timelines: TimelineJson[] }>(
      `/api/timelines?${query.join("&")}`,
    );
    found.push(...timelines);
  }
  return found;
}

export function shapeOf(timeline: TimelineJson, hueOf: (model: string) => Hue): TimelineShape {
  const hues = new Hues(hueOf);
  const stretches: Stretch[] = timeline.stretches.map(({ model, t0, t1, per_s }) => ({
    hue: hues.of(model),
    t0,
    t1,
    bucketS: timeline.bucket_s,
    buckets: per_s.map((rate) => rate * timeline.bucket_s),
  }));
  const steps: Bracket[] = [];
  // A text that its limit cut ends frayed, however well its provider ended it.
  const isCut = timeline.end === "completed" && timeline.error?.code === "length";
  const end = isCut ? "incomplete" : timeline.end;
  const waits = timeline.waits.filter(({ cause }) => cause === "question");
  return { stretches, seams: timeline.seams, steps, waits, end, lastS: timeline.last_s };
}

const named = (key: string, name: string, t: Translate, te: Knows) => (te(key) ? t(key) : name);

/** What a run is about, in words from its input that a reader would know it by. */
export function aboutOf(about: TimelineJson["about"], t: Translate, te: Knows): string {
  if (about.sku !== undefined) {
    return [
      about.sku,
      about.style === undefined ? "" : named(`copy.${about.style}`, String(about.style), t, te),
      about.user_id ?? "",
    ]
      .filter(Boolean)
      .join(" · ");
  }
  const { prompt, question, topic, user_id, flow, ...rest } = about;
  const first =
    prompt ??
    question ??
    topic ??
    user_id ??
    (flow === undefined ? undefined : flowLabel(String(flow), t, te)) ??
    Object.values(rest).find((value) => typeof value === "string");
  return first === undefined ? "" : String(first).replace(/\s+/g, " ");
}

/** A timeline as it is drawn in a list; null before it is read. */
export function drawingOf(
  timeline: TimelineJson | undefined,
  hueOf: (model: string) => Hue,
): Drawing | null {
  if (timeline === undefined) return null;
  const shape = shapeOf(timeline, hueOf);
  return { shape, nowS: shape.lastS, etaS: null };
}
