// Viewers of the AI SDK: its `Chat`, told in lines of JSON what to do, and telling what it shows.
import { createInterface } from "node:readline";
import { AbstractChat, DefaultChatTransport } from "ai";

const chats = new Map();
const textOf = (message) =>
  message?.role === "assistant"
    ? message.parts.filter((part) => part.type === "text").map((part) => part.text).join("")
    : "";

class Page extends AbstractChat {
  constructor(number, url, id, messages) {
    const state = {
      status: "ready",
      error: undefined,
      messages,
      pushMessage: (message) => (state.messages = [...state.messages, message]),
      popMessage: () => (state.messages = state.messages.slice(0, -1)),
      replaceMessage: (index, message) => {
        state.messages = state.messages.with(index, message);
        tell({ number, chars: textOf(message).length });
      },
      snapshot: structuredClone,
    };
    const prepareSendMessagesRequest = ({ id, messages }) => ({ body: { id, message: messages.at(-1) } });
    const transport = new DefaultChatTransport({ api: `${url}/api/chat`, prepareSendMessagesRequest });
    super({ id, transport, state, onFinish: (end) => (this.finished = end) });
  }

  tellEnd(number) {
    const { isAbort, isDisconnect, isError, finishReason } = this.finished ?? {};
    const why = this.error ? String(this.error) : `finishReason ${finishReason}`;
    const broke = this.status === "error" || isAbort || isDisconnect || isError;
    tell({ number, end: broke ? "said" : "complete", why, finishReason, text: textOf(this.lastMessage) });
  }
}

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function send({ number, url, chat, prompt }) {
  const page = new Page(number, url, chat, []);
  chats.set(number, page);
  await page.sendMessage({ text: prompt });
  page.tellEnd(number);
}

// A page that is opened anew: the stored messages, then the stream if one is active.
async function open({ number, url, chat }) {
  const stored = await (await fetch(`${url}/api/chat/${chat}`)).json();
  const page = new Page(number, url, chat, stored.messages);
  chats.set(number, page);
  await page.resumeStream();
  page.tellEnd(number);
}

async function stop({ url, chat }) {
  await fetch(`${url}/api/chat/${chat}/stop`, { method: "POST", body: "{}" });
}

const leave = ({ number }) => chats.get(number)?.stop();
const known = { send, open, stop, leave };

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  Promise.resolve(known[order.do](order)).catch((error) =>
    tell({ number: order.number, end: "said", why: String(error), text: textOf(chats.get(order.number)?.lastMessage) }),
  );
}
