/** What every page needs to know: the look, the server, the models. */

import { defineStore } from "pinia";
import { computed, ref, shallowRef } from "vue";
import { applyLanguage, initialLanguage, type Language } from "@/i18n";
import { themeChanged } from "@/styles/theme";
import { type Hue, hueByPlace } from "@/timeline/hues";
import { getJson } from "./http";
import type { ModelJson, RouteJson } from "./types";

const KEPT_THEME = "unspool.theme";

export const useLook = defineStore("look", () => {
  const language = ref<Language>(initialLanguage());
  const isDark = ref(document.documentElement.classList.contains("dark"));

  function setLanguage(wanted: Language): void {
    language.value = wanted;
    applyLanguage(wanted);
  }

  function setDark(wanted: boolean): void {
    isDark.value = wanted;
    localStorage.setItem(KEPT_THEME, wanted ? "dark" : "light");
    document.documentElement.classList.toggle("dark", wanted);
    themeChanged();
  }

  return { language, isDark, setLanguage, setDark };
});

/** Between two looks at the server. */
const LOOK_MS = 4000;

export const useServer = defineStore("server", () => {
  const isReached = ref(true);
  const live = ref(0);

  async function look(): Promise<void> {
    if (document.hidden) return;
    try {
      const ready = await getJson<{ live_runs: number }>("/readyz", AbortSignal.timeout(LOOK_MS));
      live.value = ready.live_runs;
      isReached.value = true;
    } catch {
      isReached.value = false;
    }
  }

  function watch(): void {
    void look();
    setInterval(() => void look(), LOOK_MS);
    addEventListener("online", () => void look());
  }

  return { isReached, live, look, watch };
});

export const useModels = defineStore("models", () => {
  const models = shallowRef<readonly ModelJson[]>([]);
  const routes = shallowRef<readonly RouteJson[]>([]);
  const isRead = ref(false);
  const usable = computed(() => models.value.filter((model) => model.problem === null));

  async function read(): Promise<void> {
    const [those, ways] = await Promise.all([
      getJson<{ models: ModelJson[] }>("/api/models"),
      getJson<{ routes: RouteJson[] }>("/api/routes"),
    ]);
    models.value = those.models;
    routes.value = ways.routes;
    isRead.value = true;
  }

  /** Hues are given in the order of registration, and kept. */
  function hueOf(name: string): Hue {
    return hueByPlace(
      models.value.map((model) => model.name),
      name,
    );
  }

  return { models, routes, usable, isRead, read, hueOf };
});
