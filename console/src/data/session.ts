/** Who is signed in in this browser, and what that one may do. */

import { computed, ref, shallowRef } from "vue";
import { openGate, SESSION_PATH } from "./gate";
import { getJson, sendJson } from "./http";
import { newest } from "./newest";
import { VIEWS_KEY } from "./runFilter";

interface Who {
  readonly kind: "key" | "person";
  readonly id: string;
  readonly name: string;
  readonly role: "viewer" | "member" | "admin" | null;
  readonly tenant: string;
  readonly scopes: readonly string[];
}

interface SessionJson {
  readonly access: "open" | "keys";
  readonly people?: boolean;
  readonly who?: Who;
}

/** Null: nobody, or the server is open. */
export const who = shallowRef<Who | null>(null);
/** Whether people can sign in at a provider. */
export const hasPeople = ref(false);

/** Between two looks whether the session still holds; a page may be left open for days. */
const LOOK_MS = 60_000;

/** Where nobody is signed in, the server's refusals say what is lacking. */
export const mayWrite = computed(
  () =>
    who.value === null || who.value.scopes.some((each) => ["runs:write", "admin"].includes(each)),
);

const tabs = new BroadcastChannel("unspool.session");

/** Where each store notes whose it is. */
const OWNER_KEY = "unspool.who";

/** Drafts of a tab, and the saved views of all. */
const FORGET: readonly [Storage, (store: Storage) => void][] = [
  [sessionStorage, (store) => store.clear()],
  [localStorage, (store) => store.removeItem(VIEWS_KEY)],
];

/** Let nothing that somebody saw or wrote stay for another one; return whether something was. */
function takeOver(now: Who): boolean {
  const owner = `${now.kind}:${now.id}`;
  let hasForgotten = false;
  for (const [store, forget] of FORGET) {
    const before = store.getItem(OWNER_KEY);
    if (before !== null && before !== owner) {
      forget(store);
      hasForgotten = true;
    }
    store.setItem(OWNER_KEY, owner);
  }
  return hasForgotten;
}

/** Note who is signed in; return false where the page begins afresh, because it was another's. */
function settle(now: Who | null): boolean {
  const before = who.value;
  const isOther = before !== null && (before.kind !== now?.kind || before.id !== now.id);
  if ((now !== null && takeOver(now)) || isOther) {
    location.reload();
    return false;
  }
  who.value = now;
  return true;
}

const asking = newest();
async function read(): Promise<void> {
  const isNewest = asking();
  const told = await getJson<SessionJson>(SESSION_PATH);
  // Else a key came meanwhile: the answer is about the time before.
  if (!isNewest()) return;
  hasPeople.value = told.people === true;
  settle(told.who ?? null);
}

/** Read who is signed in, and look again now and then. */
export function watchSession(): void {
  const look = () => void read().catch(() => {});
  look();
  setInterval(look, LOOK_MS);
  tabs.onmessage = () => location.reload();
}

/** Sign this browser in with a key, and send again what waited for it. */
export async function signIn(key: string): Promise<void> {
  const told = await sendJson<SessionJson>("POST", SESSION_PATH, { key });
  asking();
  if (settle(told.who ?? null)) openGate();
}

/** Sign out, in all tabs. Loaded anew: nothing of what was read stays in a page. */
export async function signOut(): Promise<void> {
  await sendJson("DELETE", SESSION_PATH);
  for (const [store, forget] of FORGET) forget(store);
  tabs.postMessage("over");
  location.assign("/");
}

/** Where the browser goes so that a person signs in and comes back to this page. */
export function beginAddress(): string {
  const here = new URL(location.href);
  here.searchParams.delete(FAILED);
  return `${SESSION_PATH}/begin?to=${encodeURIComponent(here.pathname + here.search)}`;
}

const FAILED = "sign-in";

/** Why nobody was signed in who came back from the provider; empty: nobody came. */
export function takeFailure(): string {
  const here = new URL(location.href);
  const code = here.searchParams.get(FAILED) ?? "";
  if (code === "") return "";
  here.searchParams.delete(FAILED);
  history.replaceState(history.state, "", here);
  return ["provider", "stale", "refused"].includes(code) ? code : "provider";
}
