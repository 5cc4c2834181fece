/** State that all pages share: appearance, server, models. */

import { defineStore } from "pinia";
import { computed, ref, shallowRef } from "vue";
import { applyLanguage, initialLanguage, type Language } from "@/i18n";
import { themeChanged } from "@/styles/theme";
import { type Hue, hueByPlace } from "@/timeline/hues";
import { getJson, sendJson } from "./http";
import { inOrder } from "./newest";
import type { Defaults, ModelJson, RouteJson } from "./types";

const THEME_KEY = "unspool.theme";

export const useAppearance = defineStore("appearance", () => {
  const language = ref<Language>(initialLanguage());
  const isDark = ref(document.documentElement.classList.contains("dark"));

  function setLanguage(wanted: Language): void {
    language.value = wanted;
    applyLanguage(wanted);
  }

  function setDark(wanted: boolean): void {
    isDark.value = wanted;
    localStorage.setItem(THEME_KEY, wanted ? "dark" : "light");
    document.documentElement.classList.toggle("dark", wanted);
    themeChanged();
  }

  return { language, isDark, setLanguage, setDark };
});

/** Between two requests to the server. */
const POLL_MS = 4000;

interface ReadyJson {
  readonly live_runs: number;
  readonly access: "open" | "keys";
}

export const useServer = defineStore("server", () => {
  const isReached = ref(true);
  const live = ref(0);
  /** Empty until the server said it. */
  const access = ref<ReadyJson["access"] | "">("");

  async function poll(): Promise<void> {
    if (document.hidden) return;
    try {
      const ready = await getJson<ReadyJson>("/readyz", AbortSignal.timeout(POLL_MS));
      live.value = ready.live_runs;
      access.value = ready.access;
      isReached.value = true;
    } catch {
      isReached.value = false;
    }
  }

  function watch(): void {
    void poll();
    setInterval(() => void poll(), POLL_MS);
    addEventListener("online", () => void poll());
  }

  return { isReached, live, access, poll, watch };
});

export const useModels = defineStore("models", () => {
  const models = shallowRef<readonly ModelJson[]>([]);
  const routes = shallowRef<readonly RouteJson[]>([]);
  const defaults = shallowRef<Defaults | null>(null);
  const isRead = ref(false);
  const usable = computed(() => models.value.filter((model) => model.problem === null));

  const read = inOrder(
    () =>
      Promise.all([
        getJson<{ models: ModelJson[] } & Defaults>("/api/models"),
        getJson<{ routes: RouteJson[] }>("/api/routes"),
      ]),
    ([listed, routed]) => {
      models.value = listed.models;
      defaults.value = listed;
      routes.value = routed.routes;
      isRead.value = true;
    },
  );

  /** Models get hues in the order in which they are registered. */
  function hueOf(name: string): Hue {
    return hueByPlace(
      models.value.map((model) => model.name),
      name,
    );
  }

  /** Choose a default; the empty flow is all of them, an empty name withdraws the choice. */
  async function choose(flow: string, name: string): Promise<void> {
    const chosen = name || null;
    const change = flow === "" ? { model: chosen } : { flows: { [flow]: chosen } };
    await sendJson("PATCH", "/api/models/defaults", change);
    await read();
  }

  return { models, routes, defaults, usable, isRead, read, choose, hueOf };
});
