/**
 * The conversation of the chat page as its own stream tells it: the messages that wait, and turns
 * that begin without a question of this page: those of messages, and of other browsers.
 *
 * Models side by side have no messages: each turn then has siblings, and none is the next one.
 */

import { computed, onBeforeUnmount, onMounted, type ShallowRef, shallowRef, watch } from "vue";
import { bodyOf } from "@/data/debug";
import { type MessageJson, sendMessage } from "@/data/messages";
import type { ChatColumn } from "./chatColumn";
import type { Chat } from "./useChat";
import type { Attached } from "./useImages";

/** Until another try, after a failure that an EventSource does not repeat by itself. */
const AGAIN_MS = 5000;

interface TurnBegun {
  readonly type: "run.started";
  readonly turn: number;
  readonly run: string;
}

type TalkFrame = TurnBegun | { readonly type: "queue"; readonly messages: readonly MessageJson[] };

export interface Talk {
  /** The conversation, where messages may be sent to it. */
  readonly number: Readonly<{ readonly value: number | null }>;
  readonly waiting: ShallowRef<readonly MessageJson[]>;
  /** Send a message, which waits for its turn. */
  send(prompt: string, images: readonly Attached[]): Promise<void>;
}

export function useTalk(chat: Chat): Talk {
  const waiting = shallowRef<readonly MessageJson[]>([]);
  const column = computed(() => (chat.columns.value.length === 1 ? chat.columns.value[0] : null));
  const number = computed(() => column.value?.conversation.value ?? null);
  let source: EventSource | null = null;
  let again = 0;

  function close(): void {
    source?.close();
    source = null;
    window.clearTimeout(again);
  }

  function open(): void {
    close();
    const shown = column.value;
    // A browser has few connections to a server: a page that nobody sees leaves its own.
    if (shown == null || number.value === null || document.hidden || !chat.isRestored.value) return;
    const after = shown.place.value?.number ?? (shown.hasTurn ? "now" : 0);
    const query = `after=${after}&path=current&types=run.started`;
    const opened = new EventSource(`/v1/conversations/${number.value}/events?${query}`);
    source = opened;
    const openSoon = () => {
      if (source === opened) again = window.setTimeout(open, AGAIN_MS);
    };
    opened.onmessage = ({ data }) => {
      // The stream begins again after the last turn that is shown.
      take(shown, JSON.parse(data) as TalkFrame).catch(openSoon);
    };
    opened.onerror = () => {
      if (opened.readyState === EventSource.CLOSED) openSoon();
    };
  }

  async function take(shown: ChatColumn, frame: TalkFrame): Promise<void> {
    if (frame.type === "queue") waiting.value = frame.messages;
    else if (frame.type === "run.started") await follow(shown, frame);
  }

  async function follow(shown: ChatColumn, { turn, run }: TurnBegun): Promise<void> {
    const isAsking = shown.isBusy && shown.run === null; // its own question is on its way
    const conversation = shown.conversation.value;
    if (isAsking || shown.run === run || conversation === null) return;
    if ((shown.place.value?.number ?? 0) >= turn) return;
    await shown.open(conversation, run);
  }

  async function send(prompt: string, images: readonly Attached[]): Promise<void> {
    if (number.value === null || column.value == null) return;
    const { system_prompt: system = "", ...body } = bodyOf(chat.settings.value, prompt);
    const sent = images.length > 0 ? { images: images.map((image) => image.sent) } : {};
    const model = chat.nameOf(column.value.model.value);
    await sendMessage(number.value, { ...body, ...sent, system, model });
  }

  watch([number, column, chat.isRestored], () => {
    waiting.value = [];
    open();
  });
  onMounted(() => document.addEventListener("visibilitychange", open));
  onBeforeUnmount(() => {
    document.removeEventListener("visibilitychange", open);
    close();
  });
  return { number, waiting, send };
}
