/** The server's resources, as far as the pages read them; see PROTOCOL.md. */

import type { Ending } from "unspool-client";

export interface RunHead {
  readonly id: string;
  readonly flow: string;
  readonly model: string;
  readonly dialect: string;
  readonly status: "running" | "waiting" | Ending;
  readonly last_seq: number;
  readonly created_at: string;
  readonly ended_at: string | null;
  readonly total_ms: number | null;
}

export interface RunJson extends RunHead {
  readonly text: string;
  readonly error: { readonly code: string } | null;
  readonly steps: readonly { readonly finish_reason: string | null; readonly is_unseen: boolean }[];
}

/** `/v1/runs/{id}/progress`: what the events of a run do not say. */
export interface RunProgress {
  readonly status: string;
  readonly left_s: number | null;
  readonly forks: readonly string[];
  readonly viewers: number;
}

export interface Health {
  readonly is_resting: boolean;
  readonly rests_s: number;
  readonly in_flight: number;
  readonly attempts: number;
  readonly failures: number;
  readonly failures_in_row: number;
  readonly stalls: number;
  readonly false_ends: number;
  readonly first_token_s: number | null;
  readonly last_error: string | null;
}

export interface ModelJson {
  readonly id: number;
  readonly name: string;
  readonly provider: string;
  readonly upstream_name: string;
  readonly base_url: string;
  readonly source: "built_in" | "environment" | "file" | "database";
  readonly has_key: boolean;
  readonly key_end: string | null;
  readonly goes_on: string | null;
  readonly is_active: boolean;
  readonly is_default: boolean;
  readonly problem: string | null;
  readonly params: Readonly<Record<string, unknown>> | null;
  readonly prefill: string | null;
  readonly prices: Prices | null;
  readonly health: Health;
  /** How its newest requests ended, by the logs. */
  readonly recent: {
    readonly requests: number;
    readonly failures: number;
    readonly failures_in_row: number;
    readonly cause: string | null;
  };
}

/** The default models: in force, and as people chose them. */
export interface Defaults {
  readonly default: string;
  readonly chosen: string | null;
  readonly chosen_for_flows: Readonly<Record<string, string>>;
  readonly default_for_flows: Readonly<Record<string, string>>;
}

interface Prices {
  readonly prompt?: number;
  readonly completion?: number;
  readonly cached?: number;
  readonly currency?: string;
}

export interface RouteJson {
  readonly name: string;
  readonly strategy: string;
  readonly source: string;
  readonly is_default: boolean;
  readonly models: readonly {
    readonly model: string;
    readonly weight: number | null;
    readonly can_be_asked: boolean;
    readonly health: Health | null;
  }[];
}
