/**
 * Places a graph in layers, from its beginnings to its results: every edge leads down, and none
 * passes through a node. An edge over several layers gets a lane between the nodes of each; edges
 * to the same node share theirs. An edge that leads back up is placed upside down.
 *
 * After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
 * structures" (1981): layers, lanes, then the order with the fewest crossings by barycentres.
 */

export interface Place {
  readonly x: number;
  readonly y: number;
}

export interface EdgePlace {
  /** From the lower side of a node to the upper side of another one, with the lanes between. */
  readonly points: readonly Place[];
  /** Whether the arrow is at the first point. */
  readonly isUp: boolean;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** The middle of each node, by id. */
  readonly nodes: ReadonlyMap<string, Place>;
  /** In the order of the edges. */
  readonly edges: readonly EdgePlace[];
}

export const NODE = { width: 136, height: 52 } as const;
const GAP = { across: 20, down: 66 } as const;
const LANE = 16;
const MARGIN = 16;
const SWEEPS = 8;

interface Node {
  readonly id: string;
  readonly type: string;
}

interface Edge {
  readonly from: string;
  readonly to: string;
}

interface Slot {
  readonly key: string;
  readonly width: number;
  x: number;
}

/** The layers of nodes, at most `columns` in each; results are below all others. */
export function layersOf(
  nodes: readonly Node[],
  edges: readonly Edge[],
  columns: number,
): string[][] {
  const ids = new Set(nodes.map((node) => node.id));
  const known = edges.filter(({ from, to }) => from !== to && ids.has(from) && ids.has(to));
  const layer = new Map<string, number>();
  const layers: string[][] = [];
  const put = (id: string, least: number) => {
    let at = least;
    while ((layers[at]?.length ?? 0) >= columns) at += 1;
    while (layers.length <= at) layers.push([]);
    layers[at]?.push(id);
    layer.set(id, at);
  };
  const place = (group: readonly Node[], first: number) => {
    const rest = [...group];
    const inGroup = new Set(group.map((node) => node.id));
    while (rest.length > 0) {
      const waits = ({ id }: Node) =>
        known.some(({ from, to }) => to === id && inGroup.has(from) && !layer.has(from));
      // In a cycle everybody waits: then the first one begins.
      const at = Math.max(
        0,
        rest.findIndex((node) => !waits(node)),
      );
      const [node] = rest.splice(at, 1);
      if (node === undefined) break;
      const before = known.flatMap(({ from, to }) =>
        to === node.id ? [layer.get(from) ?? -1] : [],
      );
      put(node.id, Math.max(first, ...before.map((one) => one + 1)));
    }
  };
  place(
    nodes.filter((node) => node.type !== "result"),
    0,
  );
  place(
    nodes.filter((node) => node.type === "result"),
    layers.length,
  );
  return layers.filter((one) => one.length > 0);
}

export function layoutOf(nodes: readonly Node[], edges: readonly Edge[], columns: number): Layout {
  const layers = layersOf(nodes, edges, Math.max(1, columns));
  const layer = new Map(layers.flatMap((ids, at) => ids.map((id) => [id, at] as const)));
  const slots: Slot[][] = layers.map((ids) =>
    ids.map((id) => ({ key: id, width: NODE.width + GAP.across, x: 0 })),
  );
  const find = (at: number, key: string) => slots[at]?.find((slot) => slot.key === key);
  const paths = edges.map(({ from, to }) => {
    const [a, b] = [layer.get(from), layer.get(to)];
    if (a === undefined || b === undefined || from === to) return null;
    const isUp = b <= a;
    const [top, low, first, last] = isUp ? [b, a, to, from] : [a, b, from, to];
    const stops: { at: number; key: string }[] = [{ at: top, key: first }];
    for (let at = top + 1; at < low; at += 1) {
      const key = `lane ${last}`;
      if (find(at, key) === undefined) slots[at]?.push({ key, width: LANE, x: 0 });
      stops.push({ at, key });
    }
    stops.push({ at: low, key: last });
    return { stops, isUp };
  });

  const neighbours = new Map<Slot, Slot[]>();
  for (const path of paths) {
    for (const [number, stop] of path?.stops.entries() ?? []) {
      const next = path?.stops[number + 1];
      const [here, there] = [find(stop.at, stop.key), next && find(next.at, next.key)];
      if (here === undefined || there === undefined) continue;
      neighbours.set(here, [...(neighbours.get(here) ?? []), there]);
      neighbours.set(there, [...(neighbours.get(there) ?? []), here]);
    }
  }
  const spread = (row: Slot[]) => {
    let x = -row.reduce((sum, slot) => sum + slot.width, 0) / 2;
    for (const slot of row) {
      slot.x = x + slot.width / 2;
      x += slot.width;
    }
  };
  const middle = (slot: Slot) => {
    const theirs = neighbours.get(slot) ?? [];
    if (theirs.length === 0) return slot.x;
    return theirs.reduce((sum, { x }) => sum + x, 0) / theirs.length;
  };
  slots.forEach(spread);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const row of sweep % 2 === 0 ? slots : [...slots].reverse()) {
      const wanted = new Map(row.map((slot) => [slot, middle(slot)]));
      row.sort((a, b) => (wanted.get(a) ?? 0) - (wanted.get(b) ?? 0));
      spread(row);
    }
  }

  const wide = Math.max(
    NODE.width,
    ...slots.map((row) => row.reduce((sum, slot) => sum + slot.width, 0)),
  );
  const width = wide + 2 * MARGIN;
  const yOf = (at: number) => MARGIN + NODE.height / 2 + at * (NODE.height + GAP.down);
  const xOf = (slot: Slot) => slot.x + width / 2;
  const places = new Map<string, Place>();
  for (const [at, row] of slots.entries())
    for (const slot of row)
      if (layer.get(slot.key) === at) places.set(slot.key, { x: xOf(slot), y: yOf(at) });
  const placed = paths.map((path): EdgePlace => {
    const points = (path?.stops ?? []).flatMap(({ at, key }, number, all): Place[] => {
      const slot = find(at, key);
      if (slot === undefined) return [];
      const [x, y] = [xOf(slot), yOf(at)];
      const [upper, lower] = [
        { x, y: y - NODE.height / 2 },
        { x, y: y + NODE.height / 2 },
      ];
      if (number === 0) return [lower];
      return number === all.length - 1 ? [upper] : [upper, lower];
    });
    return { points, isUp: path?.isUp ?? false };
  });
  const height = slots.length * (NODE.height + GAP.down) - GAP.down + 2 * MARGIN;
  return { width, height: Math.max(height, NODE.height), nodes: places, edges: placed };
}

/** The path of an edge, for SVG: curves between layers, straight in its lanes. */
export function pathOf({ points }: EdgePlace): string {
  const [first, ...rest] = points;
  if (first === undefined) return "";
  let before = first;
  const parts = [`M${first.x} ${first.y}`];
  for (const [number, point] of rest.entries()) {
    const half = (before.y + point.y) / 2;
    parts.push(
      number % 2 === 1
        ? `V${point.y}`
        : `C${before.x} ${half} ${point.x} ${half} ${point.x} ${point.y}`,
    );
    before = point;
  }
  return parts.join("");
}
