/**
 * The browser functions of the seed documents, under the same names.
 *
 * New: they continue a stream that breaks, and report an error in it.
 */

import { Connection, type Options } from "../connection.ts";
import { read, SSEClient } from "./client.ts";

export { type Listener, SSEClient } from "./client.ts";

const BASE_URL = "/api/v1";

/**
 * Run a stage of a project and emit its frames (`stage_update`, `info`, `token`, `done`, `error`).
 *
 * It connects by itself in the next microtask, so the caller can add listeners first.
 */
export function createStageStreamClient(
  projectId: string | number,
  stage: string,
  input: Record<string, unknown> = {},
  options: Options & { readonly baseUrl?: string } = {},
): SSEClient {
  const base = options.baseUrl ?? BASE_URL;
  const url = `${base}/projects/${encodeURIComponent(projectId)}/${stage}-stream/`;
  const client = new SSEClient(url, input, options);
  queueMicrotask(() => void client.connect());
  return client;
}

export interface ExtractionCallbacks {
  onStart?: (message: string) => void;
  onLLMChunk?: (content: string) => void;
  onProgress?: (message: string) => void;
  onDone?: (data: { message: string; event_count?: number }) => void;
  onError?: (message: string) => void;
}

/**
 * Extract the events of one user. The promise is fulfilled at the end of the stream. It is rejected
 * if the request fails, after a call of `onError`. `{"type":"error"}` only calls `onError`.
 */
export async function extractEventsForUserStream(
  userId: string,
  callbacks: ExtractionCallbacks = {},
  options: Options & { readonly baseUrl?: string } = {},
): Promise<void> {
  const base = options.baseUrl ?? BASE_URL;
  const url = `${base}/events/extract/${encodeURIComponent(userId)}/llm-stream`;
  try {
    for await (const frame of new Connection({ post: { url, body: {} } }, options).frames()) {
      const data = read(frame.data);
      if (data === null) continue;
      if (data.type === "start") callbacks.onStart?.(data.message);
      else if (data.type === "llm_chunk") callbacks.onLLMChunk?.(data.content);
      else if (data.type === "progress") callbacks.onProgress?.(data.message);
      else if (data.type === "done") callbacks.onDone?.(data);
      else if (data.type === "error") callbacks.onError?.(data.message);
      if (data.type === "done" || data.type === "error") return;
    }
  } catch (error) {
    callbacks.onError?.(error instanceof Error ? error.message : String(error));
    throw error;
  }
}
