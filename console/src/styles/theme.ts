/** The design tokens for code that paints: canvases, charts, graphs. */

const NAMES = [
  "bg",
  "surface",
  "sunken",
  "raised",
  "line",
  "line-strong",
  "control",
  "ink",
  "ink-2",
  "ink-3",
  "accent",
  "accent-soft",
  "hue-a",
  "hue-b",
  "hue-c",
  "hue-d",
  "hue-e",
  "hue-f",
  "hue-h",
  "seam",
  "seam-ink",
  "ok",
  "warn",
  "bad",
] as const;

type TokenName = (typeof NAMES)[number];

export interface Theme {
  readonly isDark: boolean;
  readonly colour: Readonly<Record<TokenName, string>>;
  readonly ui: string;
  readonly log: string;
}

let current: Theme | null = null;
const listeners = new Set<() => void>();

export function theme(): Theme {
  current ??= read();
  return current;
}

/** Call `change` when the theme changes; returns how to stop. */
export function onTheme(change: () => void): () => void {
  listeners.add(change);
  return () => listeners.delete(change);
}

export function themeChanged(): void {
  current = null;
  for (const change of listeners) change();
}

function read(): Theme {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string) => style.getPropertyValue(`--u-${name}`).trim();
  return {
    isDark: document.documentElement.classList.contains("dark"),
    colour: Object.fromEntries(NAMES.map((name) => [name, value(name)])) as Theme["colour"],
    ui: value("font-ui"),
    log: value("font-log"),
  };
}
