/** A conversation of a real server: followed through a kill, with messages that wait. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { followConversation, type TurnDeleted, type TurnEvent } from "../src/conversation.ts";
import { IS_THERE, Program, WORDS } from "./serving.ts";

describe.skipIf(!IS_THERE)("a conversation", () => {
  const server = new Program();
  let model: string;

  beforeAll(async () => {
    await server.start();
    model = await server.model("slow", 0.02);
  }, 20_000);

  afterAll(() => server.close());

  async function begun(): Promise<string> {
    const { id } = await server.ask("/api/conversations", {});
    return `${server.url}/v1/conversations/${id}`;
  }

  const isEnd = (event: TurnEvent | TurnDeleted) => /^run\.(comp|canc|fail|inc)/.test(event.type);

  function textOf(events: readonly (TurnEvent | TurnDeleted)[], turn: number): string {
    const mine = events.filter((event) => event.turn === turn && event.type === "text.delta");
    return mine.map((event) => ("data" in event ? event.data.text : "")).join("");
  }

  test("its turns come one after the other, each word once, through a kill", async () => {
    const talk = followConversation(await begun());
    expect((await talk.send({ prompt: "one", model })).turn).toBe(1);
    const second = await talk.send({ prompt: "two", model });
    expect(second).toMatchObject({ place: 1, turn: null });
    const events = [];
    let ends = 0;
    let kill: Promise<void> | null = null;
    for await (const event of talk) {
      events.push(event);
      if (kill === null && textOf(events, 1).includes("word5"))
        kill = server.kill().then(() => server.start());
      if (isEnd(event)) ends += 1;
      if (ends === 2) break;
    }
    await kill;
    expect(textOf(events, 1)).toBe(WORDS.join(""));
    expect(textOf(events, 2)).toBe(WORDS.join(""));
    expect(talk.waiting).toEqual([]);
  }, 20_000);

  test("a message is changed, withdrawn, and sent at once", async () => {
    const talk = followConversation(await begun());
    const lists: number[] = [];
    talk.onWaiting = (messages) => lists.push(messages.length);
    await talk.send({ prompt: "long", model });
    const changed = await talk.send({ prompt: "wrong", model });
    const dropped = await talk.send("never");
    expect((await talk.change(changed.id, { prompt: "right" })).prompt).toBe("right");
    await talk.withdraw(dropped.id);
    await talk.change(changed.id, { steer: true });
    const ends = [];
    for await (const event of talk) {
      if (isEnd(event)) ends.push(event.type);
      if (ends.length === 2) break;
    }
    expect(ends).toEqual(["run.cancelled", "run.completed"]);
    expect(lists.at(-1)).toBe(0);
    await expect(talk.withdraw(changed.id)).rejects.toMatchObject({ serverCode: "message_begun" });
  });

  test("a reader that comes later goes on at the place of the one before", async () => {
    const url = await begun();
    const first = followConversation(url);
    await first.send({ prompt: "one", model });
    const events = [];
    for await (const event of first) {
      events.push(event);
      if (textOf(events, 1).includes("word9")) break;
    }
    const second = followConversation(url, { after: first.place, path: "current" });
    for await (const event of second) {
      events.push(event);
      if (isEnd(event)) break;
    }
    expect(textOf(events, 1)).toBe(WORDS.join(""));
    await expect(async () => {
      for await (const event of followConversation(url, { after: "9.9" })) events.push(event);
    }).rejects.toMatchObject({ serverCode: "bad_cursor" });
  });
});
