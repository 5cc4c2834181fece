/** The events of a run, as in PROTOCOL.md. Readers ignore types they do not know. */

export type Ending = "completed" | "failed" | "cancelled" | "incomplete";

export interface RunEvent {
  /** 1, 2, 3 … without gaps. */
  readonly seq: number;
  /** `noun.verb-ed`: `run.started`, `text.delta`, `run.completed` … */
  readonly type: string;
  /** Unix time in milliseconds. Only `seq` gives the order. */
  readonly at_ms: number;
  // biome-ignore lint/suspicious/noExplicitAny: each type has its own shape; see PROTOCOL.md.
  readonly data: Readonly<Record<string, any>>;
}

const ENDINGS = /^run\.(completed|failed|cancelled|incomplete)$/;

/** How a run ended, where this event says so. */
export function endingOf(event: RunEvent): Ending | null {
  return (ENDINGS.exec(event.type)?.[1] as Ending | undefined) ?? null;
}
