/** The parts around a timeline: axis, brackets of steps, labels of seams, viewers. */

import type { Drawing, Frame, Viewer } from "./drawing";
import type { Bracket } from "./fold";
import { ticks } from "./scale";
import { type Pen, seamStart } from "./strokes";

/** Height of a bracket with its name. */
export const LANE = 13;
/** Of more parallel steps, the rest share the last line. */
const MAX_LANES = 3;

/** The line of each step's bracket: the first one that is free when the step begins. */
export function lanes(steps: readonly Bracket[]): number[] {
  const busyUntil: number[] = [];
  return steps.map((step) => {
    let lane = busyUntil.findIndex((end) => end <= step.t0 + 0.001);
    if (lane < 0) lane = Math.min(busyUntil.length, MAX_LANES - 1);
    busyUntil[lane] = step.t1 ?? Number.POSITIVE_INFINITY;
    return lane;
  });
}

export function paintAxis({ ctx, scale, theme, y, amp }: Pen): void {
  ctx.font = `11px ${theme.log}`;
  ctx.lineWidth = 1;
  for (const at of ticks(scale)) {
    const x = Math.round(scale.x(at)) + 0.5;
    ctx.strokeStyle = theme.colour.line;
    ctx.beginPath();
    ctx.moveTo(x, y - amp - 6);
    ctx.lineTo(x, y + amp + 8);
    ctx.stroke();
    ctx.fillStyle = theme.colour["ink-3"];
    ctx.textAlign = at === 0 ? "left" : "center";
    ctx.fillText(`${at} s`, x, y + amp + 22);
  }
  ctx.textAlign = "left";
}

export function paintBrackets({ ctx, scale, theme }: Pen, { shape, etaS, nowS }: Drawing): void {
  const rows = lanes(shape.steps);
  ctx.font = `11px ${theme.log}`;
  ctx.lineWidth = 1;
  for (const [at, step] of shape.steps.entries()) {
    const top = 10 + (rows[at] ?? 0) * LANE;
    const from = Math.round(scale.x(step.t0)) + 1.5;
    const to = scale.x(step.t1 ?? Math.max(nowS, etaS ?? 0)) - 1;
    ctx.strokeStyle = theme.colour["line-strong"];
    ctx.setLineDash(step.isRewound ? [2, 3] : []);
    ctx.beginPath();
    ctx.moveTo(from, top + 5.5);
    ctx.lineTo(from, top + 0.5);
    ctx.lineTo(Math.max(from, to), top + 0.5);
    ctx.lineTo(Math.max(from, to), top + 5.5);
    ctx.stroke();
    ctx.setLineDash([]);
    const width = ctx.measureText(step.name).width;
    if (to - from < width + 16) continue;
    ctx.fillStyle = theme.colour.surface;
    ctx.fillRect(from + 7, top - 8, width + 12, 16);
    ctx.fillStyle = theme.colour["ink-3"];
    ctx.fillText(step.name, from + 13, top + 4);
  }
}

export function paintSeamLabels(pen: Pen, { shape, seamLabel }: Drawing): void {
  const { ctx, scale, theme, y, amp } = pen;
  let taken = Number.NEGATIVE_INFINITY;
  for (const seam of shape.seams) {
    const x = (seamStart(pen, seam.t0, seam.t1) + scale.x(seam.t1)) / 2 + 2;
    ctx.strokeStyle = theme.colour.seam;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(Math.round(x) + 0.5, y - 15);
    ctx.lineTo(Math.round(x) + 0.5, y - amp - 6);
    ctx.stroke();
    const label = seamLabel?.(seam.seq) ?? "";
    ctx.font = `600 12px ${theme.ui}`;
    const width = ctx.measureText(label).width;
    const left = x + 8 + width > scale.width ? x - 8 - width : x + 8;
    // Labels never overlap; a seam without a label still shows its stitch.
    if (left < taken) continue;
    taken = left + width + 12;
    ctx.fillStyle = theme.colour["seam-ink"];
    ctx.fillText(label, left, y - amp - 8);
  }
}

/** The axis as a control: its knob, and the places of the viewers. */
export function paintPlaces(pen: Pen, drawing: Drawing, frame: Frame): void {
  const { ctx, scale, theme, y, amp } = pen;
  const axis = y + amp + 8.5;
  const end = scale.x(drawing.shape.end === null ? drawing.nowS : drawing.shape.lastS);
  ctx.strokeStyle = theme.colour.control;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.moveTo(scale.x(0), axis);
  ctx.lineTo(end, axis);
  ctx.stroke();
  for (const viewer of drawing.viewers ?? []) paintViewer(pen, viewer, frame);
  const at = drawing.scrubS ?? null;
  const x = at === null ? end : scale.x(at);
  if (at !== null) {
    ctx.strokeStyle = theme.colour.accent;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(x, y - amp - 6);
    ctx.lineTo(x, axis);
    ctx.stroke();
  }
  ctx.beginPath();
  ctx.arc(x, axis, 5, 0, 2 * Math.PI);
  ctx.fillStyle = theme.colour.surface;
  ctx.fill();
  ctx.strokeStyle = theme.colour.accent;
  ctx.lineWidth = 2;
  ctx.stroke();
}

function paintViewer({ ctx, scale, theme, y, amp }: Pen, viewer: Viewer, frame: Frame): void {
  const x = scale.x(viewer.atS);
  const top = y + amp + 30;
  ctx.strokeStyle = viewer.isMe ? theme.colour.ink : theme.colour.control;
  ctx.setLineDash(viewer.isMe ? [] : [2, 2]);
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(x, y + 14);
  ctx.lineTo(x, top);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.fillStyle = viewer.isMe ? theme.colour.ink : theme.colour["ink-3"];
  ctx.beginPath();
  ctx.moveTo(x - 4, top + 8);
  ctx.lineTo(x, top);
  ctx.lineTo(x + 4, top + 8);
  ctx.fill();
  ctx.font = `12px ${theme.ui}`;
  const width = ctx.measureText(viewer.name).width;
  const isAtEdge = x + 9 + width > frame.width;
  ctx.fillText(viewer.name, isAtEdge ? x - 9 - width : x + 9, top + 9);
}
