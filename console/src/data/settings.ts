/** The settings of the server, and the deletion of old runs. */

import { sendJson } from "./http";

interface SettingJson {
  readonly name: string;
  readonly value: string | number | boolean | null;
  readonly default: string | number | boolean | null;
  readonly is_secret: boolean;
  readonly is_set: boolean;
}

export interface ServerJson {
  readonly version: string;
  readonly python: string;
  readonly data_dir: string;
  readonly journal_bytes: number;
  readonly free_bytes: number | null;
  readonly settings: readonly SettingJson[];
}

export interface PrunedJson {
  readonly runs: number;
  readonly bytes: number;
  readonly used_bytes: number;
}

const DAY_S = 86_400;

/** Delete runs that ended more than `days` ago, or count them only. */
export function prune(days: number, isDry: boolean): Promise<PrunedJson> {
  const rules = { older_than_s: days * DAY_S, dry_run: isDry };
  return sendJson<PrunedJson>("POST", "/api/prune", rules);
}
