/** The posts of one run of sales copy: as they are written, as people changed them, and adopted. */

import { computed, type Ref, ref, shallowRef, watch } from "vue";
import { useI18n } from "vue-i18n";
import { toast } from "@/components/toast";
import { type CopyRequest, inputOf, type PostJson, type ProductJson } from "@/data/copy";
import { getJsonOrNull, sendJson } from "@/data/http";
import { newest } from "@/data/newest";
import { errorText } from "@/i18n/labels";
import type { Finding, Problem } from "./findings";
import { isLive, useStartedRun } from "./useStartedRun";

/** A draft that did not pass the checks, so that nobody has seen it. */
export interface RefusedDraft {
  readonly number: number;
  readonly text: string;
  readonly problems: readonly Problem[];
  readonly findings: readonly Finding[];
}

export function useCopy(product: Ref<ProductJson | null>, request: Ref<CopyRequest>) {
  const { t, te } = useI18n();
  const times = ref<{ started: number; first: number | null }>({ started: 0, first: null });
  const adopted = ref<string | null>(null);
  /** The posts with their versions, by number. */
  const stored = shallowRef<ReadonlyMap<number, PostJson>>(new Map());
  const started = useStartedRun("run", (event) => {
    if (event.seq === 1 && times.value.started > 0)
      times.value.first = performance.now() - times.value.started;
  });
  /** A run that writes one of the posts again. */
  const rewriting = useStartedRun("rewrite");

  const snapshot = computed(() => started.view.value?.snapshot.value ?? null);
  const isBusy = computed(() => isLive(started.view.value));
  const isRewriting = computed(() => isLive(rewriting.view.value));
  const rewritten = computed(() => {
    void rewriting.view.value?.snapshot.value;
    const of = rewriting.view.value?.runModel.input.rewrites as
      { run: string; post: number } | undefined;
    return of && of.run === started.view.value?.id ? of.post : null;
  });
  const posts = computed(() => {
    const steps = (snapshot.value?.steps ?? []).filter((step) => step.name.startsWith("post-"));
    const count = Math.max(Number(started.view.value?.runModel.input.count ?? 3), steps.length);
    return Array.from(
      { length: count },
      (_, at) => steps.find((step) => step.name === `post-${at + 1}`) ?? null,
    );
  });

  /** The drafts of a post that did not pass. */
  function draftsOf(post: number): readonly RefusedDraft[] {
    void snapshot.value;
    const runModel = started.view.value?.runModel;
    const steps = [...(runModel?.fold.steps.values() ?? [])];
    return steps
      .filter(({ name }) => name.startsWith(`draft-${post}-`))
      .map(({ name, text }) => ({
        number: Number(name.split("-")[2]),
        text,
        problems: runModel?.findings.problemsOf(name) ?? [],
        findings: runModel?.findings.of(name) ?? [],
      }))
      .filter(({ problems, findings }) => problems.length + findings.length > 0);
  }

  const failed = (error: unknown) => void toast(errorText(error as never, t, te), "bad");

  function make(): void {
    if (product.value === null || isBusy.value) return;
    adopted.value = null;
    stored.value = new Map();
    rewriting.clear();
    times.value = { started: performance.now(), first: null };
    const { model } = request.value;
    const body = { ...inputOf(product.value.sku, request.value), ...(model ? { model } : {}) };
    // Who asks again wants other posts, also where equal requests share a run.
    const again = started.view.value === null ? undefined : { "Unspool-Cache": "refresh" };
    started.start("/ai/generate/copy", body, again);
  }

  /** Write one post again, unlike all that are there. */
  function rewrite(post: number): void {
    const run = started.view.value?.id;
    const sku = started.view.value?.runModel.input.sku;
    if (!run || typeof sku !== "string" || isRewriting.value) return;
    const known = posts.value.map((_, at) => textOf(at + 1).slice(0, 2000));
    const { model } = request.value;
    rewriting.start(
      "/ai/generate/copy",
      {
        ...inputOf(sku, request.value),
        ...(model ? { model } : {}),
        count: 1,
        others: known.filter((text) => text !== ""),
        rewrites: { run, post },
      },
      { "Unspool-Cache": "refresh" },
    );
  }

  /** A post as it is now. */
  function textOf(post: number): string {
    const written = started.view.value?.runModel.passages.get(`post-${post}`)?.step.text ?? "";
    const known = stored.value.get(post);
    return known !== undefined && known.versions.length > 0 ? known.text : written;
  }

  async function edit(post: number, text: string): Promise<boolean> {
    const run = started.view.value?.id;
    try {
      const now = await sendJson<PostJson>("PUT", `/api/copies/${run}/posts/${post}`, { text });
      stored.value = new Map([...stored.value, [post, now]]);
      void readPosts();
      return true;
    } catch (error) {
      failed(error);
      return false;
    }
  }

  async function adopt(step: string, isAdopted: boolean): Promise<void> {
    const id = started.view.value?.id;
    if (!id) return;
    try {
      await sendJson("POST", `/v1/runs/${id}/outcome`, { is_adopted: isAdopted, step });
      adopted.value = isAdopted ? step : null;
    } catch (error) {
      failed(error);
    }
  }

  const asking = newest();
  async function readPosts(): Promise<void> {
    const run = started.view.value?.id;
    if (!run) return;
    const isNewest = asking();
    try {
      const read = await getJsonOrNull<{ posts: PostJson[] }>(`/api/copies/${run}`);
      if (!isNewest() || started.view.value?.id !== run) return;
      stored.value = new Map((read?.posts ?? []).map((post) => [post.post, post]));
    } catch (error) {
      failed(error);
    }
  }

  watch(
    () => snapshot.value !== null && !isBusy.value,
    (isEnded) => {
      if (isEnded) void readPosts();
    },
  );
  watch(isRewriting, (now, before) => {
    if (before && !now) void readPosts();
  });

  return {
    started,
    rewriting,
    rewritten,
    isRewriting,
    snapshot,
    isBusy,
    posts,
    stored,
    times,
    adopted,
    draftsOf,
    textOf,
    make,
    rewrite,
    edit,
    adopt,
  };
}
