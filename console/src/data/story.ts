/** Projects, their stages and results, as the story page reads them. */

import type { Finding } from "@/live/findings";
import type { StateName } from "@/styles/shapes";

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

/** A stage as the list of projects has it. */
interface StageBrief {
  readonly stage_type: StageKind;
  readonly status: "pending" | "queued" | "running" | "completed" | "paused" | "failed";
  /** Its source has changed since, or is itself out of date. */
  readonly is_stale: boolean;
}

export interface ProjectBrief {
  readonly id: number;
  readonly name: string;
  readonly original_topic: string;
  readonly created_at: string;
  readonly stages: readonly StageBrief[];
}

interface StageJson extends StageBrief {
  readonly fed_by: StageKind | null;
  readonly run: string | null;
  readonly model: string;
  readonly input_text: string;
  readonly result: ResultJson | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface ProjectJson extends ProjectBrief {
  readonly stages: readonly StageJson[];
}

const STATES = {
  pending: "queued",
  queued: "queued",
  running: "streaming",
  completed: "completed",
  paused: "cancelled",
  failed: "failed",
} as const;

/** The state of a stage; one that is out of date is never shown as completed. */
export function stateOfStage({ status, is_stale }: StageBrief): StateName {
  return is_stale && status === "completed" ? "incomplete" : STATES[status];
}

/** The fields of a scene or a movement that a person may change. */
export interface ItemChange {
  readonly number: number;
  readonly [field: string]: unknown;
}

export const SHOTS = [
  "extreme_wide",
  "wide",
  "medium",
  "medium_close",
  "close_up",
  "extreme_close_up",
] as const;

export const MOVES = [
  "static",
  "push",
  "pull",
  "pan",
  "truck",
  "follow",
  "crane",
  "orbit",
  "zoom",
] as const;

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
