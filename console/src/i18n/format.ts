/** Numbers and times as people read them. */

import type { Money } from "@/live/snapshot";

const SIGNS: Readonly<Record<string, string>> = {
  CNY: "¥",
  USD: "$",
  EUR: "€",
  GBP: "£",
  JPY: "JP¥",
};

export function money({ amount, currency }: Money): string {
  const sign = SIGNS[currency] ?? `${currency} `;
  if (amount === 0) return `${sign}0`;
  const places =
    amount >= 100 ? 2 : amount >= 1 ? 2 : Math.min(7, 1 - Math.floor(Math.log10(amount)));
  return `${sign}${amount.toFixed(places)}`;
}

/** What a product costs: whole amounts without places. */
export function price(amount: number, currency = "CNY"): string {
  return `${SIGNS[currency] ?? `${currency} `}${Number.isInteger(amount) ? amount : amount.toFixed(2)}`;
}

export function seconds(value: number): string {
  return value < 9.995 ? value.toFixed(2) : value.toFixed(1);
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** A size on disk, in steps of 1024. */
export function bytes(value: number): string {
  const step = value < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(value) / 10));
  const amount = value / 1024 ** step;
  return `${amount < 10 && step > 0 ? amount.toFixed(1) : Math.round(amount)} ${UNITS[step]}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** The time of day; with the date if that is not today. */
export function moment(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const hour = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === now.toDateString()) return hour;
  return `${two(at.getMonth() + 1)}-${two(at.getDate())} ${hour}`;
}

export function shortId(id: string): string {
  return id.length > 14 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id;
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, "0");
}
