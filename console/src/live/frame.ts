/** One animation frame for the whole page: everything that moves is drawn in it. */

type Draw = () => void;

const drawn = new Set<Draw>();
let asked = 0;

/** Draw `draw` with every frame that somebody wants; returns how to stop. */
export function onFrame(draw: Draw): () => void {
  drawn.add(draw);
  wantFrame();
  return () => drawn.delete(draw);
}

/** Ask for a frame. A hidden page gets none until it is seen, and loses nothing by that. */
export function wantFrame(): void {
  if (asked === 0) asked = requestAnimationFrame(drawAll);
}

function drawAll(): void {
  asked = 0;
  for (const draw of drawn) draw();
}
