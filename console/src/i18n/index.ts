/** The page's two languages. The choice is kept; without one the browser's own counts. */

import { createI18n } from "vue-i18n";
import { en } from "./en";
import { zh } from "./zh";

export type Language = "zh" | "en";

const KEPT = "unspool.language";

export function initialLanguage(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "zh" || kept === "en") return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export const words = createI18n({
  legacy: false,
  locale: initialLanguage(),
  fallbackLocale: "en",
  messages: { zh, en },
});

export function applyLanguage(language: Language): void {
  words.global.locale.value = language;
  localStorage.setItem(KEPT, language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}
