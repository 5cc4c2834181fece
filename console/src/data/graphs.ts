/** Graphs of causes: their parts, from a run's events or as they are kept. */

import type { RunFold } from "unspool-client";

export interface NodeJson {
  readonly id: string;
  readonly type: "event" | "feature" | "result";
  readonly name: string;
  readonly description: string;
}

export interface EdgeJson {
  readonly from: string;
  readonly to: string;
  readonly relation_type: "sequential" | "causal" | "conditional";
  readonly relation_desc: string;
}

export interface GraphJson {
  readonly id: string;
  readonly title: string;
  readonly is_whole: boolean;
  readonly created_at: string;
  readonly node_count: number;
  readonly edge_count: number;
}

export interface GraphParts {
  readonly nodes: readonly NodeJson[];
  readonly edges: readonly EdgeJson[];
  readonly insights: readonly string[];
}

/** What a run has drawn so far. */
export function partsOf(fold: RunFold): GraphParts {
  const of = (kind: string) =>
    fold.items.filter((item) => item.kind === kind).map((item) => item.item);
  return {
    nodes: of("node"),
    edges: of("edge"),
    insights: of("insight").map((item) => String(item.text ?? item)),
  };
}

export interface AnswerPart {
  readonly words: string;
  /** The node that is named here. */
  readonly node: NodeJson | null;
}

/** An answer with its `[id]`s as what they name. */
export function answerParts(text: string, nodes: readonly NodeJson[]): AnswerPart[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return text.split(/\[([^[\]\n]{1,64})\]/).map((words, at) => {
    const node = at % 2 === 1 ? (byId.get(words.trim()) ?? null) : null;
    return { words: at % 2 === 1 && node === null ? `[${words}]` : (node?.name ?? words), node };
  });
}
