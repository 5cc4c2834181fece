/** Projects, their stages and results, as the story page reads them. */

import type { Finding } from "@/live/findings";

export type StageKind = "rewrite" | "storyboard" | "camera";

/** A scene or a camera movement, as the server stores it. */
export type Item = Readonly<Record<string, unknown>>;

export interface Character {
  readonly name: string;
  readonly look: string;
}

/** A finding as a result keeps it: fields that say nothing are left out. */
export type StoredFinding = Partial<Finding> & { readonly message: string };

export interface ResultJson {
  readonly id: number;
  readonly stage_type: StageKind;
  readonly run: string | null;
  readonly original_text: string;
  readonly text: string;
  readonly items: readonly Item[];
  readonly model: string;
  readonly created_at: string;
  readonly findings?: readonly StoredFinding[];
  readonly characters?: readonly Character[];
  readonly total_s?: number;
}

interface StageJson {
  readonly stage_type: StageKind;
  readonly fed_by: StageKind | null;
  readonly status: "pending" | "queued" | "running" | "completed" | "paused" | "failed";
  readonly run: string | null;
  readonly model: string;
  readonly input_text: string;
  readonly result: ResultJson | null;
  readonly is_stale: boolean;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface ProjectJson {
  readonly id: number;
  readonly name: string;
  readonly original_topic: string;
  readonly created_at: string;
  readonly stages: readonly StageJson[];
}

export const STAGES: readonly StageKind[] = ["rewrite", "storyboard", "camera"];

/** Formats of a film plan as a file. */
export const FORMATS = ["md", "csv", "srt", "fountain"] as const;

/** The number of a scene, or of the scene of a movement. */
export const numberOf = (item: Item) => Number(item.number ?? item.scene ?? 0);

/** A result as people read it, for comparing: a line for each scene or movement. */
export function textOf({ items, text }: ResultJson): string {
  if (items.length === 0) return text;
  return items.map((item) => lineOf(item)).join("\n");
}

function lineOf(item: Item): string {
  const words =
    "movement" in item
      ? [item.movement_text ?? item.movement, item.reason]
      : [item.title, item.description, item.narration];
  return `${numberOf(item)}. ${words.filter(Boolean).join(" · ")}`;
}

/** Findings with all their fields. */
export function wholeFindings(stored: readonly StoredFinding[]): Finding[] {
  return stored.map((one) => ({ kind: "", quote: "", known: "", ...one }));
}
