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

export async function sendJson<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { "content-type": "application/json" };
  const response = await ask(path, { method, headers, body: JSON.stringify(body ?? {}) });
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
