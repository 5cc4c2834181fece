/** The title and the icon of the browser tab show the state of the run. */

import type { StateName } from "@/styles/shapes";
import { SHAPES } from "@/styles/shapes";
import { theme } from "@/styles/theme";

const SIGNS: Partial<Record<StateName, string>> = {
  streaming: "◉",
  stalled: "◡",
  waiting: "?",
  completed: "●",
  incomplete: "⋔",
  failed: "✕",
  cancelled: "⊣",
};
const HUES = {
  streaming: "accent",
  stalled: "warn",
  waiting: "accent",
  completed: "ok",
  incomplete: "warn",
  failed: "bad",
  cancelled: "ink-3",
} as const;

let shown: string | null = null;

export function showInTab(state: StateName | null, title: string): void {
  document.title = [state === null ? "" : (SIGNS[state] ?? ""), title || "Unspool"]
    .filter(Boolean)
    .join(" ");
  if (state === shown) return;
  shown = state;
  const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
  if (link !== null) link.href = state === null ? "/icon.svg" : iconOf(state);
}

function iconOf(state: StateName): string {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const ctx = canvas.getContext("2d");
  if (ctx === null) return "/icon.svg";
  ctx.scale(32 / 14, 32 / 14);
  ctx.lineCap = "round";
  ctx.strokeStyle = ctx.fillStyle = theme().colour[HUES[state as keyof typeof HUES] ?? "accent"];
  for (const stroke of SHAPES[state]) {
    ctx.lineWidth = stroke.width ?? 1.6;
    const path = new Path2D(stroke.d);
    if (stroke.fill) ctx.fill(path);
    else ctx.stroke(path);
  }
  return canvas.toDataURL();
}
