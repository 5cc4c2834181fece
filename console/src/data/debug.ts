/** The debug page's requests, and its presets, tools and conversations. */

export interface ChatSettings {
  readonly left: number;
  readonly right: number;
  readonly temperature: number | null;
  readonly maxTokens: number | null;
  readonly system: string;
  readonly tools: readonly number[];
}

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
  readonly params: Readonly<Record<string, unknown>>;
}

export interface ConversationJson {
  readonly id: number;
  readonly name: string;
  readonly turns: number;
}

export interface TurnJson {
  readonly number: number;
  readonly run: string;
  readonly status: string | null;
  readonly model: string | null;
  readonly prompt: string | null;
  readonly text: string | null;
}

export function bodyOf(
  settings: ChatSettings,
  model: number,
  prompt: string,
  conversation: number | null,
): Record<string, unknown> {
  const params = {
    ...(settings.temperature === null ? {} : { temperature: settings.temperature }),
    ...(settings.maxTokens === null ? {} : { max_tokens: settings.maxTokens }),
  };
  return {
    model_id: model,
    prompt,
    ...(settings.system ? { system_prompt: settings.system } : {}),
    ...(Object.keys(params).length > 0 ? { params } : {}),
    ...(settings.tools.length > 0 ? { tool_ids: settings.tools } : {}),
    ...(conversation === null ? {} : { conversation_id: conversation }),
  };
}
