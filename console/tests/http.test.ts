import { afterEach, expect, test, vi } from "vitest";
import { sendJson } from "../src/data/http";

/** A server whose answers come when the test says so. */
function served() {
  const asked: string[] = [];
  const answers: ((fact: number) => void)[] = [];
  vi.stubGlobal("document", { documentElement: { lang: "en" } });
  vi.stubGlobal("fetch", (path: string, { method, body }: { method: string; body: string }) => {
    asked.push(`${method} ${path} ${body}`);
    return new Promise<Response>((resolve) =>
      answers.push((fact) => resolve(Response.json({ fact }))),
    );
  });
  return { asked, come: (at: number) => answers[at]?.(at) };
}
afterEach(() => vi.unstubAllGlobals());

test("a request that is sent again while it is on its way is one request", async () => {
  const { asked, come } = served();
  const both = [sendJson("POST", "/keys", { name: "a" }), sendJson("POST", "/keys", { name: "a" })];
  come(0);
  expect(await Promise.all(both)).toEqual([{ fact: 0 }, { fact: 0 }]);
  void sendJson("POST", "/keys", { name: "a" });
  expect(asked).toHaveLength(2);
});

test("a change that is taken back and made again is sent three times", () => {
  const { asked } = served();
  for (const name of ["a", "b", "a"]) void sendJson("PATCH", "/keys/1", { name });
  expect(asked).toEqual([
    'PATCH /keys/1 {"name":"a"}',
    'PATCH /keys/1 {"name":"b"}',
    'PATCH /keys/1 {"name":"a"}',
  ]);
});

test("a request that failed is sent anew", async () => {
  vi.stubGlobal("document", { documentElement: { lang: "en" } });
  const fetch = vi.fn(async () => new Response("{}", { status: 503 }));
  vi.stubGlobal("fetch", fetch);
  await expect(sendJson("POST", "/keys/2")).rejects.toThrow();
  await expect(sendJson("POST", "/keys/2")).rejects.toThrow();
  expect(fetch).toHaveBeenCalledTimes(2);
});
