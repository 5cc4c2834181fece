/** People whose events are extracted. */

export interface PersonJson {
  readonly id: string;
  readonly name: string;
  readonly city: string;
  readonly behaviors: number;
  readonly events: number;
  /** A live extraction. */
  readonly run: string | null;
  /** The last one; `pending`: its events wait to be accepted. */
  readonly extraction: {
    readonly run: string;
    readonly status: string;
    readonly code: string;
    readonly found: number;
  } | null;
}

export interface PeopleJson {
  readonly people: readonly PersonJson[];
  readonly total: number;
  readonly behaviors: number;
  readonly events: number;
  readonly states: Readonly<Record<string, number>>;
  readonly cities?: readonly { readonly city: string; readonly people: number }[];
}

export const STATES = [
  "with_events",
  "without_events",
  "never",
  "running",
  "completed",
  "failed",
  "pending",
] as const;
