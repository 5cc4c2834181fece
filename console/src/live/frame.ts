/** One animation frame for the whole page draws everything that moves. */

type Draw = () => void;

const callbacks = new Set<Draw>();
let requestId = 0;

/** Call `draw` in every frame; returns how to stop. */
export function onFrame(draw: Draw): () => void {
  callbacks.add(draw);
  wantFrame();
  return () => callbacks.delete(draw);
}

/** Request a frame. A hidden page gets it when it becomes visible again. */
export function wantFrame(): void {
  if (requestId === 0) requestId = requestAnimationFrame(drawAll);
}

function drawAll(): void {
  requestId = 0;
  for (const draw of callbacks) draw();
}
