/** Budgets: what a tenant, a key or an end user may spend. */

import { getJson, sendJson } from "./http";

export const KINDS = ["tenant", "key", "user"] as const;
export const WINDOWS = ["day", "week", "month", "total"] as const;
/** The subject of a budget that each end user has for himself. */
export const EACH = "*";

export interface BudgetJson {
  readonly id: string;
  readonly tenant: string;
  readonly kind: (typeof KINDS)[number];
  readonly subject: string;
  /** Money in a window; null: without a limit. */
  readonly max: number | null;
  readonly currency: string;
  readonly window: (typeof WINDOWS)[number];
  readonly requests_per_minute: number | null;
  readonly tokens_per_minute: number | null;
  readonly live_runs: number | null;
  readonly viewers: number | null;
  /** The newest windows first. */
  readonly accounts: readonly {
    readonly user: string | null;
    readonly since: string | null;
    readonly spent: number;
    readonly reserved: number;
  }[];
  readonly live: number;
}

export interface BudgetDraft {
  tenant: string;
  kind: BudgetJson["kind"];
  subject: string;
  max: number | null;
  currency: string;
  window: BudgetJson["window"];
  ceiling: number | null;
  requests_per_minute: number | null;
  live_runs: number | null;
}

export async function readBudgets(): Promise<readonly BudgetJson[]> {
  return (await getJson<{ budgets: BudgetJson[] }>("/api/budgets")).budgets;
}

export const putBudget = (draft: BudgetDraft): Promise<BudgetJson> =>
  sendJson("PUT", "/api/budgets", draft);

export const deleteBudget = ({ id }: BudgetJson): Promise<void> =>
  sendJson("DELETE", `/api/budgets/${id}`);

/** Spent and reserved in the present window; of a budget for each user, of all of them. */
export function usedOf(budget: BudgetJson): { spent: number; reserved: number } {
  const newest = budget.accounts[0]?.since;
  const present = budget.accounts.filter(({ since }) => since === newest);
  return {
    spent: present.reduce((sum, { spent }) => sum + spent, 0),
    reserved: present.reduce((sum, { reserved }) => sum + reserved, 0),
  };
}
