/** The debug page's requests, and its presets, tools and conversations. */

import type { ErrorJson } from "@/i18n/labels";

export interface ChatSettings {
  readonly temperature: number | null;
  readonly maxTokens: number | null;
  readonly system: string;
  readonly tools: readonly number[];
}

export const NO_SETTINGS: ChatSettings = {
  temperature: null,
  maxTokens: null,
  system: "",
  tools: [],
};

export interface ToolJson {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly answer: { readonly kind: string } | null;
  readonly problem: string | null;
}

export interface PresetJson {
  readonly id: number;
  readonly name: string;
  readonly system_prompt: string;
  readonly prompt: string;
  readonly variables: readonly string[];
  readonly version: number;
  readonly params: Readonly<Record<string, unknown>>;
}

/** A preset as it was. */
export interface PresetVersion extends Omit<PresetJson, "id" | "name"> {
  readonly created_at: string;
}

/** A preset with values in place of its variables. */
export type FilledPreset = Pick<PresetJson, "version" | "prompt" | "system_prompt" | "params">;

export interface ConversationJson {
  readonly id: number;
  readonly name: string;
  readonly turns: number;
  readonly updated_at: string;
}

export interface ConversationPage extends ConversationJson {
  readonly last_turns: readonly TurnJson[];
}

export interface TurnJson {
  readonly number: number;
  readonly run: string;
  readonly status: string | null;
  readonly model: string | null;
  readonly prompt: string | null;
  readonly text: string | null;
  readonly error: ErrorJson | null;
}

/** A request of the page; the model and the conversation are the column's. */
export function bodyOf(settings: ChatSettings, prompt: string): Record<string, unknown> {
  const params = paramsOf(settings);
  return {
    prompt,
    ...(settings.system ? { system_prompt: settings.system } : {}),
    ...(Object.keys(params).length > 0 ? { params } : {}),
    ...(settings.tools.length > 0 ? { tool_ids: settings.tools } : {}),
  };
}

function paramsOf(settings: ChatSettings): Record<string, number> {
  return {
    ...(settings.temperature === null ? {} : { temperature: settings.temperature }),
    ...(settings.maxTokens === null ? {} : { max_tokens: settings.maxTokens }),
  };
}

/** The settings that a run was asked with, by its input. */
export function settingsOf(input: Readonly<Record<string, unknown>>): ChatSettings {
  const { temperature, max_tokens } = (input.params ?? {}) as Record<string, unknown>;
  const tools = Array.isArray(input.tool_ids) ? input.tool_ids : [];
  return {
    temperature: typeof temperature === "number" ? temperature : null,
    maxTokens: typeof max_tokens === "number" ? max_tokens : null,
    system: typeof input.system === "string" ? input.system : "",
    tools: tools.filter((each): each is number => typeof each === "number"),
  };
}

/** Longer ones are read from the last run instead: an address has its limits. */
const MAX_SYSTEM_IN_ADDRESS = 2000;

/** Settings as a part of the address; undefined leaves a part out. */
export function queryOf(settings: ChatSettings): Record<string, string | undefined> {
  const { temperature, maxTokens, system, tools } = settings;
  return {
    temperature: temperature === null ? undefined : String(temperature),
    max_tokens: maxTokens === null ? undefined : String(maxTokens),
    system: system === "" || system.length > MAX_SYSTEM_IN_ADDRESS ? undefined : system,
    tools: tools.join() || undefined,
  };
}

/** The numbers in a part of the address. */
export function numbersIn(part: unknown): number[] {
  const written = typeof part === "string" ? part.split(",") : [];
  return written.map(Number).filter((number) => Number.isSafeInteger(number) && number >= 0);
}

/** The settings in the address, or null if it has none. */
export function settingsIn(query: Readonly<Record<string, unknown>>): ChatSettings | null {
  const names = ["temperature", "max_tokens", "system", "tools"];
  if (!names.some((name) => typeof query[name] === "string")) return null;
  const number = (name: string) => {
    const value = Number.parseFloat(String(query[name] ?? ""));
    return Number.isFinite(value) ? value : null;
  };
  return {
    temperature: number("temperature"),
    maxTokens: number("max_tokens"),
    system: typeof query.system === "string" ? query.system : "",
    tools: numbersIn(query.tools),
  };
}
