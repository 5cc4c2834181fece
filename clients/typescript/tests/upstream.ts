/** An HTTP server that has a log and breaks where a test says: what clients meet, on purpose. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { RunEvent } from "../src/index.ts";

export function logOf(words: readonly string[]): RunEvent[] {
  const drafts = [
    { type: "run.started", data: { flow: "chat", input: {} } },
    { type: "step.started", data: { step: "answer" } },
    ...words.map((text) => ({ type: "text.delta", data: { step: "answer", text } })),
    { type: "run.completed", data: {} },
  ];
  return drafts.map((draft, at) => ({ seq: at + 1, at_ms: 1000 + 10 * at, ...draft }));
}

export function frameOf(event: RunEvent): string {
  return `id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`;
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly lastId: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** 1 for the first request of all. */
  readonly number: number;
}

export type Answer = (response: ServerResponse, asked: Asked) => void;

export const RUN = "01TESTED";

export function begin(response: ServerResponse, status = 200): void {
  response.writeHead(status, { "content-type": "text/event-stream", "x-run-id": RUN });
}

/** Send events after a place, up to one, and end as a broken connection does. */
export function tellUntil(log: readonly RunEvent[], last: number): Answer {
  return (response, { lastId }) => {
    begin(response);
    for (const event of log.slice(lastId, last)) response.write(frameOf(event));
    if (last >= log.length) response.end();
    else response.write(": ping\n", () => response.destroy());
  };
}

export interface Served {
  readonly url: string;
  readonly asked: Asked[];
  close(): Promise<void>;
}

export async function serve(answer: Answer): Promise<Served> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const facts = {
      method: request.method ?? "",
      path: request.url ?? "",
      lastId: Number(request.headers["last-event-id"] ?? 0),
      headers: request.headers,
      body,
      number: asked.length + 1,
    };
    asked.push(facts);
    answer(response, facts);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
