/** A causal graph, stored or drawn at this moment, and what was asked of it. */

import { computed, onMounted, ref, shallowRef, watch } from "vue";
import { useI18n } from "vue-i18n";
import { toast } from "@/components/toast";
import {
  type AskedQuestion,
  answerParts,
  type GraphJson,
  type GraphParts,
  partsOf,
  type SearchOptions,
} from "@/data/graphs";
import { getJson, getJsonOrNull } from "@/data/http";
import { inOrder, newest } from "@/data/newest";
import { errorText } from "@/i18n/labels";
import type { Finding } from "./findings";
import { isLive, useStartedRun } from "./useStartedRun";

const NEWEST = 20;
const MAX_ASKED = 50;

export function useGraph() {
  const { t, te } = useI18n();
  const graphs = shallowRef<readonly GraphJson[]>([]);
  /** Whether `graphs` are those of the server. */
  const isRead = ref(false);
  const stored = shallowRef<GraphParts | null>(null);
  const asked = shallowRef<readonly AskedQuestion[]>([]);
  const lastQuestion = ref("");
  const choosing = newest();
  const drawing = useStartedRun("run");
  const answer = useStartedRun("answer");

  const view = drawing.view;
  const snapshot = computed(() => view.value?.snapshot.value ?? null);
  const isDrawing = computed(() => isLive(view.value));
  const isAnswering = computed(() => isLive(answer.view.value));

  /** As it is stored, or as it is drawn so far. */
  const parts = computed<GraphParts>(() => {
    void snapshot.value;
    const drawn = view.value === null ? null : partsOf(view.value.runModel.fold);
    if (drawn !== null && (drawn.nodes.length > 0 || isDrawing.value)) return drawn;
    return stored.value ?? { nodes: [], edges: [], insights: [] };
  });
  const answered = computed(() => {
    void answer.view.value?.snapshot.value;
    const text = answer.view.value?.runModel.fold.text ?? "";
    return answerParts(text, parts.value.nodes);
  });
  const cited = computed(
    () => new Set(answered.value.flatMap(({ node }) => (node === null ? [] : [node.id]))),
  );

  function findings(of: "graph" | "answer"): readonly Finding[] {
    const run = of === "graph" ? drawing : answer;
    void run.view.value?.snapshot.value;
    return run.view.value?.runModel.findings.of(of) ?? [];
  }

  function generate(options: SearchOptions, model: string): void {
    choosing();
    stored.value = null;
    asked.value = [];
    lastQuestion.value = "";
    answer.clear();
    const body = { ...options, force: true, model };
    drawing.start("/api/v1/causal-graph/generate/llm-stream", body);
  }

  async function choose(id: string): Promise<void> {
    const isNewest = choosing();
    const path = `/api/v1/graphs/${encodeURIComponent(id)}`;
    const found = await getJsonOrNull<GraphParts>(path).catch(failed);
    if (!isNewest() || found === undefined) return;
    stored.value = found;
    lastQuestion.value = "";
    answer.clear();
    drawing.show(id);
    await readAsked();
  }

  function ask(question: string, model: string): void {
    const id = view.value?.id;
    if (!id || isAnswering.value) return;
    lastQuestion.value = question;
    answer.start(`/api/v1/causal-graph/${id}/ask/llm-stream`, { question, model });
  }

  const reading = newest();
  async function readAsked(): Promise<void> {
    const id = view.value?.id;
    if (!id) return;
    const isNewest = reading();
    const path = `/api/v1/graphs/${encodeURIComponent(id)}/questions?limit=${MAX_ASKED}`;
    const found = await getJsonOrNull<{ questions: AskedQuestion[] }>(path).catch(() => null);
    if (isNewest() && view.value?.id === id) asked.value = found?.questions ?? [];
  }

  const failed = (error: unknown) => void toast(errorText(error as never, t, te), "bad");
  const readAll = inOrder(
    () => getJson<{ graphs: GraphJson[] }>(`/api/v1/graphs?limit=${NEWEST}`),
    (found) => {
      graphs.value = found.graphs;
      isRead.value = true;
    },
  );
  const readGraphs = () => readAll().catch(failed);

  watch(isDrawing, (now, before) => {
    if (before && !now) void readGraphs();
  });
  watch(isAnswering, (now, before) => {
    if (before && !now) void readAsked();
  });
  watch(
    () => answer.view.value?.snapshot.value.seq,
    () => {
      const input = answer.view.value?.runModel.input.question;
      if (typeof input === "string") lastQuestion.value = input;
    },
  );
  onMounted(async () => {
    drawing.restore();
    answer.restore();
    await readGraphs();
    const [newest] = graphs.value;
    if (view.value === null && newest !== undefined) await choose(newest.id);
    else await readAsked();
  });

  return {
    ...{ graphs, isRead, view, snapshot, parts, isDrawing, generate, choose, findings },
    ...{ answer, answered, cited, asked, lastQuestion, isAnswering, ask },
  };
}
