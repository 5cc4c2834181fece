// A chat server with the AI SDK, as its documents show it: resumable streams over Redis, a chat
// store of files, a route to stop. Where they leave the code to the reader, it is written here.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  convertToModelMessages,
  createUIMessageStreamResponse,
  generateId,
  streamText,
  toUIMessageStream,
  UI_MESSAGE_STREAM_HEADERS,
} from "ai";
import { createResumableStreamContext } from "resumable-stream";

const silenceMs = Number(process.env.SILENCE_MS);
const provider = createOpenAICompatible({ name: "model", apiKey: "torture", baseURL: process.env.MODEL_URL });
const pending = new Set(); // what Next.js's `after` waits for
const waitUntil = (work) => pending.add(work.finally(() => pending.delete(work)));
const streams = createResumableStreamContext({ waitUntil });
const working = new Map(); // from a stream to what cancels it

if (!existsSync(".chats")) mkdirSync(".chats");
const fileOf = (id) => `.chats/${id.replace(/[^\w.-]/g, "")}.json`;

function readChat(id) {
  return existsSync(fileOf(id)) ? JSON.parse(readFileSync(fileOf(id), "utf8")) : { messages: [], activeStreamId: null };
}

function saveChat({ id, ...changes }) {
  writeFileSync(fileOf(id), JSON.stringify({ ...readChat(id), ...changes }));
}

async function post({ id, message }) {
  const messages = [...readChat(id).messages, message];
  saveChat({ id, messages, activeStreamId: null });
  const stopping = new AbortController();
  const result = streamText({
    model: provider("m-1"),
    messages: await convertToModelMessages(messages),
    abortSignal: stopping.signal,
    timeout: { totalMs: 20_000, firstChunkMs: silenceMs, chunkMs: silenceMs },
  });
  return createUIMessageStreamResponse({
    stream: toUIMessageStream({
      stream: result.stream,
      originalMessages: messages,
      generateMessageId: generateId,
      onEnd: ({ messages }) => saveChat({ id, messages, activeStreamId: null }),
    }),
    async consumeSseStream({ stream }) {
      const streamId = generateId();
      working.set(streamId, stopping);
      await streams.createNewResumableStream(streamId, () => stream);
      saveChat({ id, activeStreamId: streamId });
    },
  });
}

async function resume(id) {
  const { activeStreamId } = readChat(id);
  if (activeStreamId == null) return new Response(null, { status: 204 });
  const stream = await streams.resumeExistingStream(activeStreamId);
  return new Response(stream?.pipeThrough(new TextEncoderStream()), { headers: UI_MESSAGE_STREAM_HEADERS });
}

function stop(id) {
  const { activeStreamId } = readChat(id);
  if (activeStreamId == null) return Response.json({ success: true });
  working.get(activeStreamId)?.abort();
  saveChat({ id, activeStreamId: null });
  return Response.json({ success: true });
}

async function answer(request) {
  const [, , , id, what] = new URL(request.url, "http://localhost").pathname.split("/");
  if (request.method === "POST" && what === "stop") return stop(id);
  if (request.method === "POST") {
    let body = "";
    for await (const piece of request) body += piece;
    return post(JSON.parse(body));
  }
  if (what === "stream") return resume(id);
  return id ? Response.json(readChat(id)) : new Response("ready");
}

const server = createServer(async (request, reply) => {
  try {
    const response = await answer(request);
    reply.writeHead(response.status, Object.fromEntries(response.headers));
    reply.flushHeaders();
    if (!response.body) return reply.end();
    // A broken stream breaks the connection, and a viewer who leaves is no error.
    const body = Readable.fromWeb(response.body).on("error", (error) => reply.destroy(error));
    reply.on("close", () => body.destroy()).on("error", () => {});
    body.pipe(reply);
  } catch (error) {
    if (reply.headersSent) reply.destroy();
    else reply.writeHead(500).end(String(error));
  }
});
server.listen(Number(process.env.PORT), "127.0.0.1");

// As `next start` does: an error that nobody awaits ends no other answer.
process.on("unhandledRejection", (error) => console.error("unhandled", error));

// As `next start` does: no new connections, and the open answers end.
process.on("SIGTERM", () => {
  server.close(async () => {
    await Promise.allSettled(pending);
    process.exit(0);
  });
  setInterval(() => server.closeIdleConnections(), 100);
});
