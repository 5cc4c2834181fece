/** What the debug page asks, and the presets, tools and conversations it asks with. */

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
  asking: ChatSettings,
  model: number,
  prompt: string,
  conversation: number | null,
): Record<string, unknown> {
  const params = {
    ...(asking.temperature === null ? {} : { temperature: asking.temperature }),
    ...(asking.maxTokens === null ? {} : { max_tokens: asking.maxTokens }),
  };
  return {
    model_id: model,
    prompt,
    ...(asking.system ? { system_prompt: asking.system } : {}),
    ...(Object.keys(params).length > 0 ? { params } : {}),
    ...(asking.tools.length > 0 ? { tool_ids: asking.tools } : {}),
    ...(conversation === null ? {} : { conversation_id: conversation }),
  };
}
