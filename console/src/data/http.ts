/** JSON from and to the server. A refusal is an error with the server's code. */

import { fetchWithKey } from "./gate";

export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** People read the server's messages in the language of the page. */
const language = () => document.documentElement.lang || "en";

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask(path, { signal })).json();
}

interface Sent {
  readonly method: string;
  readonly body: string;
  readonly answer: Promise<unknown>;
}
/** The last request to each path, while it is on its way. */
const sending = new Map<string, Sent>();

/** Send it. A button that is pressed twice sends one request, and both presses get its answer. */
export function sendJson<T>(method: string, path: string, content?: unknown): Promise<T> {
  const body = JSON.stringify(content ?? {});
  const last = sending.get(path);
  if (last?.method === method && last.body === body) return last.answer as Promise<T>;
  const answer = sendEach<T>(method, path, content).finally(() => {
    if (sending.get(path) === sent) sending.delete(path);
  });
  const sent = { method, body, answer };
  sending.set(path, sent);
  return answer;
}

/** Send what people may say twice: each time is a request of its own. */
export async function sendEach<T>(method: string, path: string, content?: unknown): Promise<T> {
  const headers = { "content-type": "application/json" };
  const response = await ask(path, { method, headers, body: JSON.stringify(content ?? {}) });
  return response.status === 204 ? (undefined as T) : response.json();
}

/** The resource, or null if the server has none at this path. */
export async function getJsonOrNull<T>(path: string, signal?: AbortSignal): Promise<T | null> {
  try {
    return await getJson<T>(path, signal);
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return null;
    throw error;
  }
}

async function ask(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    const headers = { "accept-language": language(), ...init.headers };
    response = await fetchWithKey(path, { cache: "no-store", ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError("offline", "", 0);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const { code = `http_${response.status}`, message = response.statusText } = body.error ?? {};
  throw new ApiError(code, message, response.status);
}
