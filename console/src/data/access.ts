/** The keys and tenants of the server, and who changed them. */

import { getJson, sendJson } from "./http";

/** Most that the server takes. */
export const MAX_KEY_CHARS = 128;

export const SCOPES = [
  "runs:read",
  "runs:write",
  "records:read",
  "records:write",
  "models:write",
  "usage:read",
  "admin",
] as const;

type Scope = (typeof SCOPES)[number];

export interface KeyJson {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  /** Empty lists limit nothing. */
  readonly models: readonly string[];
  readonly flows: readonly string[];
  readonly origins: readonly string[];
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly used_at: string | null;
  readonly revoked_at: string | null;
}

export interface TenantJson {
  readonly id: string;
  readonly name: string;
  readonly created_at: string | null;
}

export interface KeyDraft {
  name: string;
  tenant: string;
  scopes: Scope[];
  models: string[];
  flows: string[];
  origins: string[];
  days: number | null;
}

/** A key with its text, which the server tells once. */
export interface ToldKey {
  readonly name: string;
  readonly text: string;
  readonly isRenewed: boolean;
}

/** Those in force first, and the newest of them before all. */
export async function readKeys(): Promise<readonly KeyJson[]> {
  const { keys } = await getJson<{ keys: KeyJson[] }>("/api/keys");
  return [...keys.filter(isInForce).reverse(), ...keys.filter((key) => !isInForce(key)).reverse()];
}

export async function readTenants(): Promise<readonly TenantJson[]> {
  return (await getJson<{ tenants: TenantJson[] }>("/api/tenants")).tenants;
}

export const addTenant = (name: string): Promise<TenantJson> =>
  sendJson("POST", "/api/tenants", { name });

export async function makeKey(draft: KeyDraft): Promise<ToldKey> {
  const { key, name } = await sendJson<KeyJson & { key: string }>("POST", "/api/keys", draft);
  return { name, text: key, isRenewed: false };
}

export async function renewKey({ id, name }: KeyJson): Promise<ToldKey> {
  const { key } = await sendJson<{ key: string }>("POST", `/api/keys/${id}/renew`);
  return { name, text: key, isRenewed: true };
}

export const revokeKey = ({ id }: KeyJson): Promise<void> => sendJson("DELETE", `/api/keys/${id}`);

export function isExpired(key: KeyJson, now = Date.now()): boolean {
  return key.expires_at !== null && Date.parse(key.expires_at) <= now;
}

export const isInForce = (key: KeyJson): boolean => key.revoked_at === null && !isExpired(key);

export interface AuditJson {
  readonly id: number;
  readonly at: string;
  readonly actor: { readonly kind: "key" | "person" | "command" | "anybody"; readonly id: string };
  readonly action: string;
  readonly subject: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** A page of changes, the newest first; `before` is the `next` of the page before. */
export const readAudit = (
  before: number | null,
): Promise<{ rows: readonly AuditJson[]; next: number | null }> =>
  getJson(`/api/audit${before === null ? "" : `?before=${before}`}`);
