/**
 * The columns of the debug page, and its address: models, conversations, runs and settings are in
 * it, so a reload shows the same, before the first token too.
 */

import { computed, onBeforeUnmount, type Ref, ref, type ShallowRef, shallowRef, watch } from "vue";
import { useRoute, useRouter } from "vue-router";
import {
  bodyOf,
  type ChatSettings,
  NO_SETTINGS,
  numbersIn,
  queryOf,
  settingsIn,
  settingsOf,
} from "@/data/debug";
import { useModels } from "@/data/stores";
import { Hues } from "@/timeline/hues";
import { ChatColumn } from "./chatColumn";

/** Columns beside each other; nobody reads more. */
export const MAX_COLUMNS = 16;

export interface Chat {
  readonly columns: ShallowRef<readonly ChatColumn[]>;
  readonly settings: Ref<ChatSettings>;
  /** The number of the preset that was used last. */
  readonly preset: Ref<string | null>;
  readonly isBusy: Readonly<Ref<boolean>>;
  nameOf(id: number): string;
  hueOf(name: string): ReturnType<Hues["of"]>;
  /** Ask all columns, or one of them. */
  send(prompt: string, isStreamed: boolean, only?: ChatColumn): Promise<void>;
  add(model: number): void;
  drop(column: ChatColumn): void;
  open(conversation: number): Promise<void>;
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

  /** While the page is being read from its address, nothing is written there. */
  let isRestored = false;

  function write(): void {
    if (!isRestored) return;
    const all = columns.value;
    const list = (values: readonly (number | string | null)[]) =>
      values.some(Boolean) ? values.map((each) => each ?? "").join() : undefined;
    const query = {
      models: list(all.map((column) => column.model.value)),
      c: list(all.map((column) => column.conversation.value)),
      run: list(all.map((column) => column.run)),
      preset: preset.value ?? undefined,
      ...queryOf(settings.value),
    };
    void router.replace({ query });
  }

  function make(model: number): ChatColumn {
    const column = new ChatColumn(model, hueOf);
    column.onPlace = write;
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

  async function restore(): Promise<void> {
    const asked = numbersIn(route.query.models);
    const conversations = numbersIn(route.query.c);
    const runs = String(route.query.run ?? "").split(",");
    const found = settingsIn(route.query);
    settings.value = found ?? NO_SETTINGS;
    preset.value = typeof route.query.preset === "string" ? route.query.preset : null;
    const count = Math.min(
      Math.max(asked.length, conversations.length, runs.length, 1),
      MAX_COLUMNS,
    );
    columns.value = Array.from({ length: count }, (_, place) => make(usable(asked[place])));
    await Promise.all(
      columns.value.map(async (column, place) => {
        const number = conversations[place];
        const run = runs[place];
        const isOpen = number ? await column.open(number).catch(() => false) : false;
        if (!isOpen && run) column.show(run);
        follow(column, found !== null && asked[place] !== undefined);
      }),
    );
    isRestored = true;
    write();
  }

  async function send(prompt: string, isStreamed: boolean, only?: ChatColumn): Promise<void> {
    const asked = only === undefined ? columns.value : [only];
    const isOne = columns.value.length === 1;
    write();
    await Promise.all(
      asked.map((column) => {
        const short = prompt.replace(/\s+/g, " ").trim().slice(0, 40);
        const name = isOne ? "" : `${short} · ${nameOf(column.model.value)}`;
        return column.ask(bodyOf(settings.value, prompt), isStreamed, name);
      }),
    );
  }

  function set(next: readonly ChatColumn[]): void {
    for (const column of columns.value) if (!next.includes(column)) column.close();
    columns.value = next;
    write();
  }

  const add = (model: number) => set([...columns.value, make(model)]);
  const drop = (column: ChatColumn) => set(columns.value.filter((each) => each !== column));
  const begin = () => set(columns.value.map((column) => make(column.model.value)));

  async function open(conversation: number): Promise<void> {
    const column = make(columns.value[0]?.model.value ?? usable(undefined));
    set([column]);
    await column.open(conversation);
    follow(column, false);
  }

  watch(
    () => [settings.value, preset.value, ...columns.value.map((column) => column.model.value)],
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
    isBusy,
    nameOf,
    hueOf,
    send,
    add,
    drop,
    open,
    begin,
    restore,
  };
}
