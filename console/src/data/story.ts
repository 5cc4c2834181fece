/** Projects, their stages and results, as the story page reads them. */

export type StageKind = "rewrite" | "storyboard" | "camera";

export interface ResultJson {
  readonly id: number;
  readonly stage_type: StageKind;
  readonly run: string;
  readonly original_text: string;
  readonly text: string;
  readonly items: readonly Readonly<Record<string, unknown>>[];
  readonly model: string;
  readonly created_at: string;
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
  readonly error: string | null;
}

export interface ProjectJson {
  readonly id: number;
  readonly name: string;
  readonly original_topic: string;
  readonly created_at: string;
  readonly stages: readonly StageJson[];
}

export const STAGES: readonly StageKind[] = ["rewrite", "storyboard", "camera"];

/** A scene or a camera movement as a title and a text. */
export function lineOf(item: Readonly<Record<string, unknown>>): {
  readonly title: string;
  readonly text: string;
} {
  const number = String(item.number ?? item.scene ?? "");
  const title = [number, item.title ?? item.movement].filter(Boolean).join(" · ");
  return { title, text: String(item.description ?? item.reason ?? "") };
}
