/**
 * The columns of the debug page, and its address: models, conversations, runs and settings are in
 * it, so a reload shows the same, before the first token too.
 */

import { computed, onBeforeUnmount, type Ref, ref, type ShallowRef, shallowRef, watch } from "vue";
import { useRoute, useRouter } from "vue-router";
import {
  bodyOf,
  type ChatLimits,
  type ChatSettings,
  NO_SETTINGS,
  numbersIn,
  queryOf,
  readLimits,
  settingsIn,
  settingsOf,
} from "@/data/debug";
import { sendJson } from "@/data/http";
import { useModels } from "@/data/stores";
import type { ErrorJson } from "@/i18n/labels";
import { Hues } from "@/timeline/hues";
import { ChatColumn } from "./chatColumn";
import type { Attached } from "./useImages";

/** Until the server has told how many it takes. */
const FEW: ChatLimits = { columns: 1, images: 0 };

/** A question with what goes with it. */
interface Question {
  readonly prompt: string;
  readonly images: readonly Attached[];
  /** The turn that it follows; left out: the last one of each column. */
  readonly after?: number;
  /** Ask this column alone. */
  readonly only?: ChatColumn;
}

export interface Chat {
  readonly columns: ShallowRef<readonly ChatColumn[]>;
  readonly settings: Ref<ChatSettings>;
  /** The number of the preset that was used last. */
  readonly preset: Ref<string | null>;
  readonly isBusy: Readonly<Ref<boolean>>;
  /** Whether the page is as its address says, and can ask. */
  readonly isRestored: Readonly<Ref<boolean>>;
  nameOf(id: number): string;
  hueOf(name: string): ReturnType<Hues["of"]>;
  /** Whether answers appear while they are written. */
  readonly isStreamed: Ref<boolean>;
  readonly limits: Readonly<Ref<ChatLimits>>;
  /** Changes when a conversation has begun or has been asked. */
  readonly changes: Readonly<Ref<number>>;
  /** Ask all columns, or one of them. */
  send(question: Question): Promise<void>;
  /** Let all columns go on from the answer of one. */
  goOn(column: ChatColumn): Promise<void>;
  add(model: number): Promise<void>;
  drop(column: ChatColumn): void;
  open(conversation: number): Promise<void>;
  /** Wait for the conversation that was chosen last: what is asked meanwhile is asked in it. */
  opened(): Promise<unknown>;
  begin(): void;
  restore(): Promise<void>;
}

export function useChat(): Chat {
  const route = useRoute();
  const router = useRouter();
  const models = useModels();
  const columns = shallowRef<readonly ChatColumn[]>([]);
  const settings = ref<ChatSettings>(NO_SETTINGS);
  const preset = ref<string | null>(null);
  const isStreamed = ref(true);
  const limits = ref(FEW);
  const changes = ref(0);

  const nameOf = (id: number) => models.models.find((model) => model.id === id)?.name ?? "";
  const idOf = (name: string) => models.models.find((model) => model.name === name)?.id;
  /** Models side by side have hues of their own, as far as there are any. */
  const hues = computed(() => {
    const given = new Hues(models.hueOf);
    for (const column of columns.value) given.of(nameOf(column.model.value));
    return given;
  });
  const hueOf = (name: string) => hues.value.of(name);
  const isBusy = computed(() => columns.value.some((column) => column.isBusy));

  /** While the page is being read from its address, nothing is written there or asked. */
  const isRestored = ref(false);

  function write(): void {
    if (!isRestored.value) return;
    const all = columns.value;
    const list = (values: readonly (number | string | null)[]) =>
      values.some(Boolean) ? values.map((each) => each ?? "").join() : undefined;
    const query = {
      models: list(all.map((column) => column.model.value)),
      c: list(all.map((column) => column.conversation.value)),
      run: list(all.map((column) => column.run)),
      preset: preset.value ?? undefined,
      stream: isStreamed.value ? undefined : "0",
      ...queryOf(settings.value),
    };
    void router.replace({ query });
  }

  function make(model: number): ChatColumn {
    const column = new ChatColumn(model, hueOf);
    column.onPlace = () => {
      write();
      changes.value += 1; // its run is there, and so is its turn
    };
    return column;
  }

  /** Once its run is known, a column shows the model and the settings it was asked with. */
  function follow(column: ChatColumn, isSettled: boolean): void {
    const stop = watch(
      () => (column.view.value?.snapshot.value.seq ?? 0) > 0,
      (isKnown) => {
        const found = column.view.value?.runModel;
        if (!isKnown || found === undefined) return;
        const { input, model } = found;
        if (column.prompt.value === "" && typeof input.prompt === "string")
          column.prompt.value = input.prompt;
        if (!isSettled) {
          settings.value = settingsOf(input);
          column.model.value = idOf(model) ?? column.model.value;
        }
        queueMicrotask(() => stop());
      },
      { immediate: true },
    );
  }

  function usable(id: number | undefined): number {
    const isUsable = models.models.some((model) => model.id === id && model.problem === null);
    if (id !== undefined && (isUsable || models.models.length === 0)) return id;
    const first = models.usable.find((model) => model.is_default) ?? models.usable[0];
    return first?.id ?? 1;
  }

  let restoring: Promise<void> = Promise.resolve();
  let opening: Promise<unknown> = Promise.resolve();

  function restore(): Promise<void> {
    restoring = read();
    return restoring;
  }

  async function read(): Promise<void> {
    const asked = numbersIn(route.query.models);
    const conversations = numbersIn(route.query.c);
    const runs = String(route.query.run ?? "").split(",");
    const found = settingsIn(route.query);
    settings.value = found ?? NO_SETTINGS;
    isStreamed.value = route.query.stream !== "0";
    limits.value = await readLimits().catch(() => FEW);
    preset.value = typeof route.query.preset === "string" ? route.query.preset : null;
    const wanted = Math.max(asked.length, conversations.length, runs.length, 1);
    const count = Math.min(wanted, limits.value.columns);
    columns.value = Array.from({ length: count }, (_, place) => make(usable(asked[place])));
    await Promise.all(
      columns.value.map(async (column, place) => {
        const number = conversations[place];
        const run = runs[place];
        const isOpen = number ? await column.open(number, run).catch(() => false) : false;
        if (!isOpen && run) column.show(run);
        follow(column, found !== null && asked[place] !== undefined);
      }),
    );
    isRestored.value = true;
    write();
  }

  async function send({ prompt, images, after, only }: Question): Promise<void> {
    const all = only === undefined ? columns.value : [only];
    const asked = after === undefined ? all : all.filter((column) => column.has(after));
    write();
    if (!(await begun(asked, prompt))) return;
    const body = bodyOf(settings.value, prompt);
    await Promise.all(asked.map((column) => column.ask(body, isStreamed.value, images, after)));
  }

  /** Give the columns that have none a conversation: one for all of them. */
  async function begun(asked: readonly ChatColumn[], prompt: string): Promise<boolean> {
    const without = asked.filter((column) => column.conversation.value === null);
    if (without.length === 0) return true;
    try {
      const made = await sendJson<{ id: number }>("POST", "/api/conversations", {});
      for (const column of without) column.conversation.value = made.id;
      write();
      return true;
    } catch (error) {
      for (const column of asked) {
        column.prompt.value = prompt;
        column.refusal.value = error as ErrorJson & Error;
      }
      return false;
    }
  }

  async function goOn(chosen: ChatColumn): Promise<void> {
    const { run } = chosen;
    const number = chosen.conversation.value;
    if (run === null || number === null) return;
    const turn = chosen.place.value?.number;
    if (turn !== undefined)
      await sendJson("PATCH", `/api/conversations/${number}`, { current: turn });
    const others = columns.value.filter((column) => column !== chosen);
    await Promise.all(others.map((column) => column.open(number, run)));
  }

  function set(next: readonly ChatColumn[]): void {
    for (const column of columns.value) if (!next.includes(column)) column.close();
    columns.value = next;
    write();
  }

  /** A model that comes later has the same conversation before it. */
  async function add(model: number): Promise<void> {
    await restoring;
    const column = make(model);
    const first = columns.value[0];
    set([...columns.value, column]);
    const number = first?.conversation.value ?? null;
    if (number !== null) await column.open(number, first?.run ?? "");
  }

  const drop = (column: ChatColumn) => set(columns.value.filter((each) => each !== column));
  const begin = () => set(columns.value.map((column) => make(column.model.value)));

  async function open(conversation: number): Promise<void> {
    await restoring;
    const column = make(columns.value[0]?.model.value ?? usable(undefined));
    set([column]);
    opening = column.open(conversation);
    await opening;
    follow(column, false);
  }

  const opened = () => opening.catch(() => {});

  watch(
    () => [
      settings.value,
      preset.value,
      isStreamed.value,
      ...columns.value.map((column) => column.model.value),
    ],
    write,
  );
  watch(
    () => models.models,
    () => {
      for (const column of columns.value) column.model.value = usable(column.model.value);
    },
  );
  onBeforeUnmount(() => {
    for (const column of columns.value) column.close();
  });
  return {
    columns,
    settings,
    preset,
    isStreamed,
    limits,
    changes,
    isBusy,
    isRestored,
    nameOf,
    hueOf,
    send,
    goOn,
    add,
    drop,
    open,
    opened,
    begin,
    restore,
  };
}
