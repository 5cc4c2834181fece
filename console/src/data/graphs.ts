/** Causal graphs: their parts, from the events of a run or as they are stored. */

import type { RunFold } from "unspool-client";

export interface NodeJson {
  readonly id: string;
  readonly type: "event" | "feature" | "result";
  readonly name: string;
  readonly description: string;
}

/** Figures for what follows what; see docs/protocol/extraction.md. */
interface Evidence {
  readonly people: number;
  readonly people_before: number;
  readonly people_without: number;
  readonly reached_without: number;
  readonly times: number;
  readonly times_before: number;
  readonly rate: number;
  readonly base_rate: number;
  readonly lift: number | null;
  readonly gap_s: number | null;
  readonly examples: readonly string[];
}

export interface EdgeJson {
  readonly from: string;
  readonly to: string;
  readonly relation_type: "sequential" | "causal" | "conditional";
  readonly relation_desc: string;
  readonly evidence?: Evidence;
}

export interface PatternJson {
  readonly events: readonly string[];
  readonly users: number;
  readonly support: number;
  readonly confidence: number;
  readonly evidence: Evidence;
}

export interface EventType {
  readonly type: string;
  readonly people: number;
  readonly again: number;
  readonly rate: number;
}

export interface DropOff {
  readonly start: string;
  readonly outcome: string;
  readonly dropped: number;
  readonly reached: number;
  readonly undecided: number;
  readonly differences: readonly {
    readonly trait: string;
    readonly value: string;
    readonly dropped: number;
    readonly reached: number;
    readonly dropped_share: number;
    readonly reached_share: number;
    readonly is_clear: boolean;
  }[];
  readonly people: readonly string[];
  readonly next: string | null;
}

export interface AskedQuestion {
  readonly id: string;
  readonly question: string;
  readonly answer: string;
  readonly is_answered: boolean;
  readonly created_at: string;
  readonly status: string;
}

/** What the patterns of a graph are searched by. */
export interface SearchOptions {
  min_support: number;
  max_length: number;
  most: number;
  outcome: string;
  window_days: number;
  /** Only people whose id, name or city contains it. */
  query: string;
  title: string;
  is_acyclic: boolean;
}

export const edgeKey = (edge: EdgeJson) => `${edge.from}>${edge.to}`;

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

/** The parts that a run has found so far. */
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
  readonly text: string;
  /** The node of this name. */
  readonly node: NodeJson | null;
}

/** An answer whose `[id]`s are replaced by the names of nodes; no name stands twice in a row. */
export function answerParts(text: string, nodes: readonly NodeJson[]): AnswerPart[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parts: AnswerPart[] = [];
  for (const [at, piece] of text.split(/\[([^[\]\n]{1,64})\]/).entries()) {
    const node = at % 2 === 1 ? (byId.get(piece.trim()) ?? null) : null;
    if (node === null) {
      parts.push({ text: at % 2 === 1 ? `[${piece}]` : piece, node });
      continue;
    }
    const before = parts.pop();
    const written = before?.text.trimEnd() ?? "";
    const rest = written.endsWith(node.name)
      ? written.slice(0, -node.name.length)
      : (before?.text ?? "");
    parts.push({ text: rest, node: null }, { text: node.name, node });
  }
  return parts;
}
