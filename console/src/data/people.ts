/** People whose events are extracted. */

export interface PersonJson {
  readonly id: string;
  readonly name: string;
  readonly gender: string;
  readonly age: number | null;
  readonly city: string;
  readonly properties: Readonly<Record<string, unknown>>;
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

interface BehaviorJson {
  readonly at: string;
  readonly action: string;
  readonly sku: string | null;
  readonly stay_s: number | null;
}

/** A stored event; `finding`: it does not stand on the behaviours as they are now. */
export interface StoredEvent {
  readonly at: string;
  readonly type: string;
  readonly context: string;
  readonly behavior: BehaviorJson | null;
  readonly finding: { readonly kind: string; readonly known: string } | null;
}

/** A behaviour in the list of all of them. */
export interface ListedBehavior extends BehaviorJson {
  readonly user_id: string;
  readonly product: string | null;
}

/** An entry of a person's timeline. */
export type TimelineEntry =
  | {
      readonly kind: "behavior";
      readonly at: string;
      readonly action: string;
      readonly sku: string | null;
      readonly product: string | null;
      readonly stay_s: number | null;
    }
  | {
      readonly kind: "event";
      readonly at: string;
      readonly type: string;
      readonly context: string;
      readonly run: string;
    };

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
