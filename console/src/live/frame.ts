/** One animation frame for the whole page: everything that moves is callbacks in it. */

type Draw = () => void;

const callbacks = new Set<Draw>();
let requestId = 0;

/** Draw `draw` with every frame that somebody wants; returns how to stop. */
export function onFrame(draw: Draw): () => void {
  callbacks.add(draw);
  wantFrame();
  return () => callbacks.delete(draw);
}

/** Ask for a frame. A hidden page gets none until it is seen, and loses nothing by that. */
export function wantFrame(): void {
  if (requestId === 0) requestId = requestAnimationFrame(drawAll);
}

function drawAll(): void {
  requestId = 0;
  for (const draw of callbacks) draw();
}
