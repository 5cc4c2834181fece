/** Passes the requests of `useChat` on to Unspool, with a key that no page sees. */

const SERVER = process.env.UNSPOOL_URL ?? "http://127.0.0.1:8000";
const KEY = process.env.UNSPOOL_KEY;

/** Nothing (a message), or a chat's stream or stop. Check here whose chat it is. */
const ALLOWED = /^$|^\/[\w-]{1,64}\/(stream|stop)$/;

async function pass(request: Request, { params }: { params: Promise<{ path?: string[] }> }) {
  const path = ((await params).path ?? []).map((part) => `/${part}`).join("");
  if (!ALLOWED.test(path)) return new Response(null, { status: 404 });
  const reply = await fetch(`${SERVER}/v1/ui/chat${path}`, {
    method: request.method,
    headers: {
      "content-type": "application/json",
      ...(KEY ? { authorization: `Bearer ${KEY}` } : {}),
    },
    body: request.method === "POST" ? await request.text() : null,
    cache: "no-store",
    signal: request.signal,
  });
  const headers = new Headers({
    "content-type": reply.headers.get("content-type") ?? "application/json",
    // Next compresses an answer otherwise, and a compressed stream comes late.
    "cache-control": "no-cache, no-transform",
  });
  return new Response(reply.body, { status: reply.status, headers });
}

export { pass as GET, pass as POST };
