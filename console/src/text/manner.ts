/** How texts of models are shown: as Markdown, or as the model wrote them. */

import { ref, watch } from "vue";

const KEY = "unspool.raw";

/** The user's choice, for all texts. */
export const isRaw = ref(localStorage.getItem(KEY) === "1");
watch(isRaw, (wanted) => localStorage.setItem(KEY, wanted ? "1" : "0"));

/** Flows whose models answer people. Others write posts, lines of events or JSON. */
const FLOWS = new Set(["chat", "compare"]);

export const isMarkdown = (flow: string): boolean => FLOWS.has(flow);
