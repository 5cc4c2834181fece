/** One column of the chat page: a model, its path through a conversation, and the live turn. */

import { openRun } from "unspool-client";
import { type Ref, ref, type ShallowRef, shallowRef } from "vue";
import type { ConversationPage, TurnJson } from "@/data/debug";
import { fetchWithKey } from "@/data/gate";
import { getJsonOrNull, sendJson } from "@/data/http";
import { newest } from "@/data/newest";
import type { ErrorJson } from "@/i18n/labels";
import type { Hue } from "@/timeline/hues";
import { RunView, watchRun } from "./runView";
import { type Attached, stored } from "./useImages";
import { isLive } from "./useStartedRun";

export const CHAT_PATH = "/api/debug/chat";

/** The place of the live turn in its conversation. */
export type Place = Pick<TurnJson, "number" | "parent" | "siblings">;

/** A question that may be asked anew: what it said, and what it follows. */
export interface Asked {
  readonly prompt: string;
  readonly parent: number;
  readonly images: readonly Attached[];
}

export class ChatColumn {
  readonly model: Ref<number>;
  readonly conversation: Ref<number | null> = ref(null);
  /** Turns before the one in `view`. */
  readonly turns: ShallowRef<readonly TurnJson[]> = shallowRef([]);
  readonly view: ShallowRef<RunView | null> = shallowRef(null);
  /** The question of the turn in `view`. */
  readonly prompt = ref("");
  readonly images: ShallowRef<readonly Attached[]> = shallowRef([]);
  /** Null until the server has told it. */
  readonly place: ShallowRef<Place | null> = shallowRef(null);
  readonly refusal: ShallowRef<ErrorJson | null> = shallowRef(null);
  /** Whether a whole answer is awaited. */
  readonly isWaiting = ref(false);
  /** Called when what belongs into the address changes. */
  onPlace: () => void = () => {};

  readonly #hueOf: (model: string) => Hue;
  readonly #opening = newest();
  #run: string | null = null;
  /** Set by a question that took the live turn's place: what the live turn follows. */
  #parent = 0;

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

  /** The turn that the live one follows. */
  get parent(): number {
    return this.place.value?.parent ?? this.#parent;
  }

  /** Whether a turn (0: none) is on the path of this column. */
  has(turn: number): boolean {
    const isEarlier = this.turns.value.some((each) => each.number === turn);
    return turn === 0 || isEarlier || this.place.value?.number === turn;
  }

  /** Ask after the live turn, or after the turn `after` of the path, which then branches. */
  async ask(
    body: Record<string, unknown>,
    isStreamed: boolean,
    images: readonly Attached[],
    after?: number,
  ): Promise<void> {
    this.#opening();
    if (after === undefined) await this.#settle();
    else this.turns.value = this.turns.value.filter((turn) => turn.number <= after);
    this.#set(null);
    this.#parent = after ?? this.turns.value.at(-1)?.number ?? 0;
    this.place.value = null;
    this.prompt.value = String(body.prompt);
    this.images.value = images;
    this.refusal.value = null;
    this.isWaiting.value = true;
    const sent = images.length > 0 ? { images: images.map((image) => image.sent) } : {};
    const place = { conversation_id: this.conversation.value, after_turn: this.#parent };
    const whole = { ...body, ...sent, ...place, model_id: this.model.value };
    try {
      if (isStreamed) this.#stream(whole);
      else await this.#askWhole(whole);
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
    const answer = await fetchWithKey(CHAT_PATH, { method: "POST", headers, body: sent }).catch(
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

  /**
   * Open a conversation with its last turn live: the current one, or that of a run. False: there is
   * no such conversation. What is opened or asked meanwhile is shown in its place.
   */
  async open(number: number, run = ""): Promise<boolean> {
    const isNewest = this.#opening();
    const found = await this.#read(number, run);
    if (found === null) return false;
    if (!isNewest()) return true;
    this.conversation.value = number;
    this.refusal.value = null;
    const last = found.last_turns.at(-1);
    this.turns.value = found.last_turns.slice(0, -1);
    this.prompt.value = last?.prompt ?? "";
    this.images.value = stored(last?.images ?? null);
    this.place.value = last ?? null;
    this.#set(null);
    if (last?.prompt == null) this.turns.value = found.last_turns;
    else this.show(last.run);
    return true;
  }

  /** Go to the branch through another turn, as far as it was continued last. */
  async switchTo(turn: number): Promise<void> {
    const number = this.conversation.value;
    if (number === null) return;
    await sendJson("PATCH", `/api/conversations/${number}`, { current: turn });
    await this.open(number);
  }

  #read(number: number, run: string, limit = 50): Promise<ConversationPage | null> {
    const upto = run === "" ? "" : `&run=${encodeURIComponent(run)}`;
    return getJsonOrNull<ConversationPage>(`/api/conversations/${number}?limit=${limit}${upto}`);
  }

  /** The live turn, as far as it came, becomes an earlier one. */
  async #settle(): Promise<void> {
    const view = this.view.value;
    if (view?.id == null) return;
    if (this.place.value === null) await this.#learn(view.id);
    const { fold, model } = view.runModel;
    const images = view.runModel.input.images as TurnJson["images"] | undefined;
    const place = this.place.value ?? { number: this.#parent + 1, parent: this.#parent };
    const turn: TurnJson = {
      siblings: [],
      ...place,
      run: view.id,
      status: fold.status,
      model,
      prompt: this.prompt.value,
      images: images ?? [],
      text: fold.text,
      error: fold.error as ErrorJson | null,
    };
    this.turns.value = [...this.turns.value, turn];
  }

  /** Read where the turn of a run stands in the conversation. */
  async #learn(run: string): Promise<void> {
    const number = this.conversation.value;
    if (number === null) return;
    const found = await this.#read(number, run, 1).catch(() => null);
    const turn = found?.last_turns.at(-1);
    if (turn?.run === run && this.#run === run) this.place.value = turn;
  }

  /** Read the siblings of the live turn anew: others may have come. */
  async refresh(): Promise<void> {
    if (this.#run !== null) await this.#learn(this.#run);
  }

  #set(next: RunView | null): void {
    this.view.value?.close();
    this.view.value = next;
    if (next === null) this.#run = null;
  }

  #place(id: string): void {
    this.#run = id;
    this.onPlace();
    if (this.place.value === null) void this.#learn(id);
  }

  close(): void {
    this.#opening();
    this.#set(null);
  }
}
