/** The page's two languages. A choice is stored; without one the browser's language counts. */

import { createI18n } from "vue-i18n";
import { en } from "./en";
import { zh } from "./zh";

export type Language = "zh" | "en";

const STORAGE_KEY = "unspool.language";

export function initialLanguage(): Language {
  const stored = localStorage.getItem(STORAGE_KEY);
  if (stored === "zh" || stored === "en") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export const i18n = createI18n({
  legacy: false,
  locale: initialLanguage(),
  fallbackLocale: "en",
  messages: { zh, en },
});

export function applyLanguage(language: Language): void {
  i18n.global.locale.value = language;
  localStorage.setItem(STORAGE_KEY, language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}
