/** A story: its project, the run that writes a stage of it, and what is shown of a stage. */

import { computed, onMounted, ref, shallowRef, watch } from "vue";
import { useI18n } from "vue-i18n";
import { useRoute, useRouter } from "vue-router";
import { toast } from "@/components/toast";
import { useDraft } from "@/data/drafts";
import { getJson, sendJson } from "@/data/http";
import { newest } from "@/data/newest";
import {
  type Character,
  type Item,
  type ItemChange,
  numberOf,
  type ProjectJson,
  type ResultJson,
  STAGES,
  type StageKind,
  textOf,
  wholeFindings,
} from "@/data/story";
import { errorText } from "@/i18n/labels";
import { showInTab } from "./tab";
import { isLive, useStartedRun } from "./useStartedRun";

export type Story = ReturnType<typeof useStory>;

export function useStory(id: string) {
  const { t, te } = useI18n();
  const route = useRoute();
  const router = useRouter();
  const base = `/api/v1/projects/${id}`;

  const asking = newest();
  const project = shallowRef<ProjectJson | null>(null);
  const history = shallowRef<readonly ResultJson[]>([]);
  const draft = useDraft(`story.${id}.source`);
  const source = ref(draft.value);
  const wish = useDraft(`story.${id}.wish`);
  const model = ref("");
  const started = useStartedRun("run");
  const view = started.view;
  /** The stages of a run that has not told them yet. */
  const asked = shallowRef<readonly StageKind[]>([]);
  /** The run has ended, and the project with its results is not read again yet. */
  const isUnread = ref(false);

  const kind = computed<StageKind>({
    get: () => STAGES.find((each) => each === route.query.stage) ?? "rewrite",
    set: (next) => {
      const stage = next === "rewrite" ? undefined : next;
      void router.replace({ query: { ...route.query, stage } });
    },
  });
  const stageOf = (name: StageKind) =>
    project.value?.stages.find((each) => each.stage_type === name) ?? null;
  const stage = computed(() => stageOf(kind.value));
  const result = computed(() => stage.value?.result ?? null);
  const fedBy = computed(() => {
    const before = stage.value?.fed_by;
    const given = before && stageOf(before)?.result;
    return given ? textOf(given) : "–";
  });
  const stored = computed(
    () => stageOf("rewrite")?.input_text || project.value?.original_topic || "",
  );

  const snapshot = computed(() => view.value?.snapshot.value ?? null);
  const isBusy = computed(() => isLive(view.value));
  /** Whether the run on the page writes this stage. */
  const isHere = computed(() => {
    void snapshot.value;
    return view.value?.runModel.passages.has(kind.value) ?? false;
  });
  const writes = computed(() => {
    void snapshot.value;
    const stages = view.value?.runModel.input.stages;
    return (Array.isArray(stages) ? stages : asked.value).includes(kind.value);
  });
  /** Whether the run is shown here, and not the stored result. */
  const showsRun = computed(() => {
    if (view.value === null || !writes.value) return false;
    if (isBusy.value || isUnread.value) return true;
    const has = stage.value;
    if (has?.run !== view.value.id) return false;
    return has?.status !== "completed" || (kind.value === "rewrite" && has.result?.run === has.run);
  });
  /** Whether the stage stopped before its end, and nothing else is being written. */
  const canResume = computed(
    () => !isBusy.value && ["paused", "failed"].includes(stage.value?.status ?? ""),
  );
  /** Whether people may change what the stage has now. */
  const canEdit = computed(() => !isBusy.value && !isUnread.value && result.value !== null);

  function found<T>(wanted: string): T[] {
    const items = view.value?.runModel.fold.items ?? [];
    return items.filter((item) => item.kind === wanted).map((item) => item.item as T);
  }
  /** The storyboard of which the run writes one scene. */
  const board = computed(() => {
    void snapshot.value;
    return (view.value?.runModel.input.board ?? null) as null | {
      readonly scenes: readonly Item[];
      readonly characters: readonly Character[];
    };
  });
  const items = computed<readonly Item[]>(() => {
    void snapshot.value;
    if (kind.value === "rewrite") return [];
    if (!showsRun.value) return result.value?.items ?? [];
    const live = found<Item>(kind.value === "storyboard" ? "scene" : "camera");
    if (board.value === null) return live;
    const [scene] = live;
    return board.value.scenes.map((old) =>
      scene !== undefined && numberOf(old) === numberOf(scene) ? scene : old,
    );
  });
  const characters = computed<readonly Character[]>(() => {
    void snapshot.value;
    if (kind.value !== "storyboard") return [];
    if (!showsRun.value) return result.value?.characters ?? [];
    return board.value?.characters ?? found<Character>("character");
  });
  const findings = computed(() => {
    if (!showsRun.value) return wholeFindings(result.value?.findings ?? []);
    return snapshot.value?.steps.find((step) => step.name === kind.value)?.findings ?? [];
  });

  /** Start a run with what is typed on the page. */
  function start(path: string, stages: readonly StageKind[], more: object = {}): void {
    if (isBusy.value) return;
    asked.value = stages;
    const isOwn = stages.includes("rewrite") && source.value && source.value !== stored.value;
    started.start(`${base}/${path}/`, {
      ...(isOwn ? { original_text: source.value } : {}),
      ...(wish.value ? { wish: wish.value } : {}),
      model: model.value,
      ...more,
    });
  }
  const make = () => start(`${kind.value}-stream`, [kind.value]);
  const pipeline = () => start("pipeline-stream", STAGES);
  const writeStale = () => start("pipeline-stream", [], { only_stale: true });
  const rewriteScene = (number: number, how: string) =>
    start(`scenes/${number}/rewrite-stream`, ["storyboard"], { wish: how });

  /** Go on where the stage stopped. */
  function resume(): void {
    if (!canResume.value) return;
    asked.value = [kind.value];
    started.start(`${base}/stages/${kind.value}/resume/`, {});
  }

  /** Change the stage: another result, or a person's own text or scene. */
  async function change(fields: {
    result_id?: number;
    result_text?: string;
    item?: ItemChange;
  }): Promise<boolean> {
    try {
      await sendJson("PATCH", `${base}/stages/${kind.value}/`, fields);
      // What is stored counts from now on, also where a run on the page wrote it before.
      if (!isBusy.value) started.clear();
      await read();
      return true;
    } catch (error) {
      void toast(errorText(error as never, t, te), "bad");
      return false;
    }
  }

  async function read(): Promise<void> {
    const isNewest = asking();
    const stage = kind.value;
    try {
      const isFirst = project.value === null;
      const found = await getJson<ProjectJson>(`${base}/`);
      if (!isNewest()) return;
      project.value = found;
      if (!source.value || (isFirst && !draft.value)) source.value = stored.value;
      keepDraft();
      const listed = await getJson<{ results: ResultJson[] }>(`${base}/history/?stage=${stage}`);
      if (isNewest() && kind.value === stage) history.value = listed.results;
      const live = project.value.stages.find(
        ({ status, run }) => (status === "running" || status === "queued") && run !== null,
      );
      const stopped = project.value.stages.find(
        ({ stage_type, status }) =>
          stage_type === kind.value && ["paused", "failed"].includes(status),
      );
      const wanted = live?.run ?? stopped?.run;
      if (wanted && view.value === null) started.show(wanted);
    } catch (error) {
      void toast(errorText(error as never, t, te), "bad");
    }
  }

  /** What is typed stays over a reload until the server has it. */
  function keepDraft(): void {
    if (project.value !== null) draft.value = source.value === stored.value ? "" : source.value;
  }
  watch(source, keepDraft);

  watch(isBusy, (now, before) => {
    if (!before || now) return;
    isUnread.value = true;
    setTimeout(() => void read().finally(() => (isUnread.value = isBusy.value)), 200);
  });
  watch(kind, () => {
    history.value = [];
    void read();
  });
  watch(snapshot, (now) =>
    showInTab(now?.state ?? null, `${t("nav.story")} · ${project.value?.name ?? ""}`),
  );
  onMounted(() => {
    started.restore();
    void read();
  });

  return {
    base,
    project,
    history,
    source,
    wish,
    model,
    started,
    view,
    kind,
    stageOf,
    stage,
    result,
    fedBy,
    snapshot,
    isBusy,
    isHere,
    showsRun,
    canResume,
    canEdit,
    items,
    characters,
    findings,
    make,
    pipeline,
    writeStale,
    rewriteScene,
    resume,
    change,
  };
}
