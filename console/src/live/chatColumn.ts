/** One column of the debug page: a model, its conversation, and the turn that is shown live. */

import { openRun } from "unspool-client";
import { type Ref, ref, type ShallowRef, shallowRef } from "vue";
import type { ConversationPage, TurnJson } from "@/data/debug";
import { getJsonOrNull, sendJson } from "@/data/http";
import type { ErrorJson } from "@/i18n/labels";
import type { Hue } from "@/timeline/hues";
import { RunView, watchRun } from "./runView";
import { isLive } from "./useStartedRun";

export const CHAT_PATH = "/api/debug/chat";

export class ChatColumn {
  readonly model: Ref<number>;
  readonly conversation: Ref<number | null> = ref(null);
  /** Turns before the one in `view`. */
  readonly turns: ShallowRef<readonly TurnJson[]> = shallowRef([]);
  readonly view: ShallowRef<RunView | null> = shallowRef(null);
  /** The question of the turn in `view`. */
  readonly prompt = ref("");
  readonly refusal: ShallowRef<ErrorJson | null> = shallowRef(null);
  /** Whether a whole answer is awaited. */
  readonly isWaiting = ref(false);
  /** Called when what belongs into the address changes. */
  onPlace: () => void = () => {};

  readonly #hueOf: (model: string) => Hue;
  #run: string | null = null;

  constructor(model: number, hueOf: (model: string) => Hue) {
    this.model = ref(model);
    this.#hueOf = hueOf;
  }

  get run(): string | null {
    return this.#run;
  }

  get isBusy(): boolean {
    return this.isWaiting.value || isLive(this.view.value);
  }

  /** Whether there is a turn, whatever became of it. */
  get hasTurn(): boolean {
    return this.prompt.value !== "" || this.turns.value.length > 0;
  }

  /** Ask the next turn. The first one begins the conversation. */
  async ask(body: Record<string, unknown>, isStreamed: boolean, name: string): Promise<void> {
    this.#settle();
    this.prompt.value = String(body.prompt);
    this.refusal.value = null;
    this.isWaiting.value = true;
    try {
      if (this.conversation.value === null) {
        const made = await sendJson<{ id: number }>("POST", "/api/conversations", { name });
        this.conversation.value = made.id;
        this.onPlace();
      }
      const whole = {
        ...body,
        model_id: this.model.value,
        conversation_id: this.conversation.value,
      };
      if (isStreamed) this.#stream(whole);
      else await this.#askWhole(whole);
    } catch (error) {
      this.refusal.value = error as ErrorJson & Error;
    } finally {
      this.isWaiting.value = false;
    }
  }

  #stream(body: Record<string, unknown>): void {
    const next = new RunView(
      (options) => openRun(CHAT_PATH, { ...options, body: { ...body, stream: true } }),
      this.#hueOf,
    );
    next.onId = (id) => {
      if (this.view.value === next) this.#place(id);
    };
    this.#set(next);
  }

  /** Without streaming, the answer appears when it is complete. */
  async #askWhole(body: Record<string, unknown>): Promise<void> {
    const headers = { "content-type": "application/json" };
    const sent = JSON.stringify({ ...body, stream: false });
    const answer = await fetch(CHAT_PATH, { method: "POST", headers, body: sent }).catch(
      () => null,
    );
    const run = answer?.headers.get("x-run-id") ?? null;
    if (run !== null) this.show(run);
    else this.refusal.value = (await answer?.json())?.error ?? { code: "offline", message: "" };
  }

  /** Show a run as the column's live turn. */
  show(id: string): RunView {
    const next = watchRun(id, this.#hueOf);
    this.#set(next);
    this.#place(id);
    return next;
  }

  /** Open a conversation with its last turn live. False: there is none with this number. */
  async open(number: number): Promise<boolean> {
    const path = `/api/conversations/${number}`;
    const found = await getJsonOrNull<ConversationPage>(path);
    if (found === null) return false;
    this.conversation.value = number;
    const last = found.last_turns.at(-1);
    this.turns.value = found.last_turns.slice(0, -1);
    if (last?.prompt == null) {
      this.turns.value = found.last_turns;
      return true;
    }
    this.prompt.value = last.prompt;
    this.show(last.run);
    return true;
  }

  /** The live turn, as far as it came, becomes an earlier one. */
  #settle(): void {
    const view = this.view.value;
    if (view?.id == null) return;
    const { fold, model } = view.runModel;
    const turn: TurnJson = {
      number: (this.turns.value.at(-1)?.number ?? 0) + 1,
      run: view.id,
      status: fold.status,
      model,
      prompt: this.prompt.value,
      text: fold.text,
      error: fold.error as ErrorJson | null,
    };
    this.turns.value = [...this.turns.value, turn];
    this.#set(null);
  }

  #set(next: RunView | null): void {
    this.view.value?.close();
    this.view.value = next;
    if (next === null) this.#run = null;
  }

  #place(id: string): void {
    this.#run = id;
    this.onPlace();
  }

  close(): void {
    this.#set(null);
  }
}
