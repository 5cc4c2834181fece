/**
 * The browser functions that the seed documents print, as they are called there.
 *
 * What is new is below: a stream that breaks is gone on with, and an error in it is told.
 */

import { Connection, type Options } from "../connection.ts";
import { read, SSEClient } from "./client.ts";

export { type Listener, SSEClient } from "./client.ts";

const BASE_URL = "/api/v1";

/**
 * Run a stage of a project and tell its frames (`stage_update`, `info`, `token`, `done`, `error`).
 *
 * It connects by itself, after whoever called it has had time to listen.
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
 * Extract the events of one user. Fulfilled at the end of the stream; rejected where the server
 * could not be asked, after `onError` was called. `{"type":"error"}` calls `onError` alone.
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
