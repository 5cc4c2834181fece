/** The debug page's requests, and its presets, tools and conversations. */

import type { ErrorJson } from "@/i18n/labels";
import { getJsonOrNull } from "./http";

/** What is null or empty is not sent: then the model's own setting counts. */
export interface ChatSettings {
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly maxTokens: number | null;
  readonly seed: number | null;
  /** Texts that end the answer, one a line. */
  readonly stop: string;
  /** Whether the answer must be JSON. */
  readonly isJson: boolean;
  readonly effort: Effort | "";
  readonly system: string;
  readonly tools: readonly number[];
}

export const EFFORTS = ["minimal", "low", "medium", "high"] as const;
type Effort = (typeof EFFORTS)[number];

export const NO_SETTINGS: ChatSettings = {
  temperature: null,
  topP: null,
  maxTokens: null,
  seed: null,
  stop: "",
  isJson: false,
  effort: "",
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
  /** The turn that the next question follows. */
  readonly current: number;
  readonly updated_at: string;
}

/** An image that the server has. */
export interface StoredImage {
  readonly sha256: string;
  readonly type: string;
  readonly bytes: number;
}

export interface ConversationPage extends ConversationJson {
  readonly last_turns: readonly TurnJson[];
}

export interface TurnJson {
  readonly number: number;
  readonly run: string;
  /** The turn that it follows; 0: none. */
  readonly parent: number;
  /** The turns that follow the same one, in order, this one included. */
  readonly siblings: readonly number[];
  readonly images: readonly StoredImage[] | null;
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

function paramsOf(settings: ChatSettings): Record<string, unknown> {
  const { temperature, topP, maxTokens, seed, isJson, effort } = settings;
  const stop = settings.stop.split("\n").filter((line) => line !== "");
  return {
    ...(temperature === null ? {} : { temperature }),
    ...(topP === null ? {} : { top_p: topP }),
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
    ...(seed === null ? {} : { seed }),
    ...(stop.length === 0 ? {} : { stop }),
    ...(isJson ? { response_format: { type: "json_object" } } : {}),
    ...(effort === "" ? {} : { reasoning_effort: effort }),
  };
}

const isEffort = (value: unknown): value is Effort => EFFORTS.includes(value as Effort);

/** The settings that a run was asked with, by its input. */
export function settingsOf(input: Readonly<Record<string, unknown>>): ChatSettings {
  const params = (input.params ?? {}) as Record<string, unknown>;
  const number = (value: unknown) => (typeof value === "number" ? value : null);
  const { stop, response_format: form, reasoning_effort: effort } = params;
  const tools = Array.isArray(input.tool_ids) ? input.tool_ids : [];
  return {
    temperature: number(params.temperature),
    topP: number(params.top_p),
    maxTokens: number(params.max_tokens),
    seed: number(params.seed),
    stop: typeof stop === "string" ? stop : Array.isArray(stop) ? stop.join("\n") : "",
    isJson: (form as { type?: unknown } | undefined)?.type === "json_object",
    effort: isEffort(effort) ? effort : "",
    system: typeof input.system === "string" ? input.system : "",
    tools: tools.filter((each): each is number => typeof each === "number"),
  };
}

/** Longer ones are read from the last run instead: an address has its limits. */
const MAX_SYSTEM_IN_ADDRESS = 2000;

/** Settings as a part of the address; undefined leaves a part out. */
export function queryOf(settings: ChatSettings): Record<string, string | undefined> {
  const { system, tools, stop } = settings;
  const number = (value: number | null) => (value === null ? undefined : String(value));
  return {
    temperature: number(settings.temperature),
    top_p: number(settings.topP),
    max_tokens: number(settings.maxTokens),
    seed: number(settings.seed),
    stop: stop === "" || stop.length > MAX_SYSTEM_IN_ADDRESS ? undefined : stop,
    json: settings.isJson ? "1" : undefined,
    effort: settings.effort || undefined,
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
  const names = Object.keys(queryOf(NO_SETTINGS));
  if (!names.some((name) => typeof query[name] === "string")) return null;
  const number = (name: string) => {
    const value = Number.parseFloat(String(query[name] ?? ""));
    return Number.isFinite(value) ? value : null;
  };
  const text = (name: string) => (typeof query[name] === "string" ? String(query[name]) : "");
  return {
    temperature: number("temperature"),
    topP: number("top_p"),
    maxTokens: number("max_tokens"),
    seed: number("seed"),
    stop: text("stop"),
    isJson: query.json === "1",
    effort: isEffort(query.effort) ? query.effort : "",
    system: text("system"),
    tools: numbersIn(query.tools),
  };
}

/** What the server takes at most. */
export interface ChatLimits {
  readonly columns: number;
  readonly images: number;
}

interface FlowInput {
  readonly input: { readonly properties: Readonly<Record<string, { maxItems?: number }>> };
}

/** The limits, as the schemas of the flows have them. */
export async function readLimits(): Promise<ChatLimits> {
  const [compare, chat] = await Promise.all(
    ["compare", "chat"].map((name) => getJsonOrNull<FlowInput>(`/v1/flows/${name}`)),
  );
  return {
    columns: compare?.input.properties.columns?.maxItems ?? 1,
    images: chat?.input.properties.images?.maxItems ?? 0,
  };
}
