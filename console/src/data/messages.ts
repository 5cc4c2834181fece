/** Messages of a conversation: they wait until their turn begins. */

import type { ErrorJson } from "@/i18n/labels";
import type { StoredImage } from "./debug";
import { sendEach, sendJson } from "./http";

export interface MessageJson {
  readonly id: number;
  /** From 1; null once its turn has begun. */
  readonly place: number | null;
  readonly run: string | null;
  readonly prompt: string | null;
  readonly images: readonly StoredImage[];
  /** Why its turn could not begin. */
  readonly error: ErrorJson | null;
}

const pathOf = (conversation: number) => `/v1/conversations/${conversation}/messages`;

export const sendMessage = (conversation: number, body: Record<string, unknown>) =>
  sendEach<MessageJson>("POST", pathOf(conversation), body);

export const changeMessage = (
  conversation: number,
  message: number,
  fields: { prompt: string } | { steer: true },
) => sendJson<MessageJson>("PATCH", `${pathOf(conversation)}/${message}`, fields);

export const withdrawMessage = (conversation: number, message: number) =>
  sendJson<void>("DELETE", `${pathOf(conversation)}/${message}`);
