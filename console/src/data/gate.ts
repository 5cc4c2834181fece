/** Requests to a server that wants a key: where one is lacking they wait until the user gives it. */

import { ref } from "vue";

/** Whether a request waits for a key. */
export const needsKey = ref(false);

/** Takes a key, so it is asked without one. */
export const SESSION_PATH = "/api/session";

let gate = newGate();

function newGate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** `fetch`; a request that the server wants a key for is sent again once there is one. */
export async function fetchWithKey(
  asked: RequestInfo | URL,
  init: RequestInit = {},
): Promise<Response> {
  for (;;) {
    const before = gate;
    const response = await fetch(asked, init);
    if (asked === SESSION_PATH || !lacksKey(response)) return response;
    void response.body?.cancel();
    // Else a key came while this request was under way.
    if (before === gate) needsKey.value = true;
    await Promise.race([before.opened, aborted(init.signal)]);
  }
}

/** Wait until the user gave a key. */
export function keyGiven(): Promise<void> {
  needsKey.value = true;
  return gate.opened;
}

/** Send again what waits: the server took a key. */
export function openGate(): void {
  needsKey.value = false;
  const { open } = gate;
  gate = newGate();
  open();
}

/** Providers refuse keys with 401, too; only the server itself names its scheme. */
function lacksKey(response: Response): boolean {
  return response.status === 401 && response.headers.get("www-authenticate") === "Bearer";
}

function aborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) =>
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true }),
  );
}
