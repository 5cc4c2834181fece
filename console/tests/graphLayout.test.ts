import { describe, expect, it } from "vitest";
import { layersOf, layoutOf, NODE, pathOf } from "@/graph/layout";

/** A random graph without cycles, the same one each time. */
function graphOf(count: number, edgeCount: number, seed: number) {
  let state = seed;
  const next = (below: number) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % below;
  };
  const nodes = Array.from({ length: count }, (_, at) => ({
    id: `n${at}`,
    type: at >= count - 2 ? "result" : "event",
  }));
  const edges = Array.from({ length: edgeCount }, () => {
    const to = 1 + next(count - 1);
    return { from: `n${next(to)}`, to: `n${to}` };
  });
  return { nodes, edges };
}

const inside = (x: number, y: number, at: { x: number; y: number }) =>
  Math.abs(x - at.x) < NODE.width / 2 && Math.abs(y - at.y) < NODE.height / 2;

describe("a graph in layers", () => {
  for (const columns of [2, 4, 6]) {
    it(`has no node over another one and no edge through a node, in ${columns} columns`, () => {
      for (let seed = 1; seed < 12; seed += 1) {
        const { nodes, edges } = graphOf(30, 60, seed);
        const layout = layoutOf(nodes, edges, columns);
        expect(layout.nodes.size).toBe(30);
        const places = [...layout.nodes.entries()];
        for (const [id, a] of places)
          for (const [other, b] of places)
            if (id < other)
              expect(Math.abs(a.x - b.x) >= NODE.width || Math.abs(a.y - b.y) >= NODE.height).toBe(
                true,
              );
        for (const [number, { points }] of layout.edges.entries()) {
          for (const [at, a] of points.entries()) {
            const b = points[at + 1];
            if (b === undefined) continue;
            for (let step = 1; step < 20; step += 1) {
              const [x, y] = [a.x + ((b.x - a.x) * step) / 20, a.y + ((b.y - a.y) * step) / 20];
              const hit = places.filter(([, place]) => inside(x, y, place)).map(([id]) => id);
              expect(hit, `edge ${number} of ${seed}`).toEqual([]);
            }
          }
        }
      }
    });
  }

  it("leads down, with results below all others", () => {
    const { nodes, edges } = graphOf(12, 20, 3);
    const layers = layersOf(nodes, edges, 3);
    const at = (id: string) => layers.findIndex((ids) => ids.includes(id));
    for (const { from, to } of edges) expect(at(from)).toBeLessThan(at(to));
    expect(Math.max(...layers.map((ids) => ids.length))).toBeLessThanOrEqual(3);
    expect(layers.at(-1)?.every((id) => ["n10", "n11"].includes(id))).toBe(true);
  });

  it("is placed with cycles, loops and edges to nowhere too", () => {
    const nodes = ["a", "b"].map((id) => ({ id, type: "event" }));
    const edges = [
      { from: "a", to: "b" },
      { from: "b", to: "a" },
      { from: "a", to: "a" },
      { from: "a", to: "x" },
    ];
    const layout = layoutOf(nodes, edges, 2);
    expect(layout.edges.map((edge) => edge.points.length)).toEqual([2, 2, 0, 0]);
    expect(layout.edges.map((edge) => edge.isUp)).toEqual([false, true, false, false]);
    expect(layout.edges.map(pathOf).filter(Boolean)).toHaveLength(2);
    expect(layoutOf([], [], 3).nodes.size).toBe(0);
  });
});
