/** The strokes of a timeline: stretches, slack lines, seams, ends. */

import type { Ending } from "unspool-client";
import type { Theme } from "@/styles/theme";
import type { Stretch, TimelineShape } from "./fold";
import type { Hue } from "./hues";
import { rates, type Scale } from "./scale";

export interface Pen {
  readonly ctx: CanvasRenderingContext2D;
  readonly scale: Scale;
  readonly theme: Theme;
  /** The centre line, and the half thickness at full speed. */
  readonly y: number;
  readonly amp: number;
  readonly most: number;
  readonly isSmall: boolean;
}

/** Factors for the first and last buckets. */
const TAPER = [0.5, 0.82];

type Point = readonly [x: number, half: number];

function colourOf(theme: Theme, hue: Hue): string {
  return theme.colour[`hue-${hue}`];
}

export function drawStretch(pen: Pen, stretch: Stretch, isOpen: boolean): void {
  const { ctx, theme, isSmall } = pen;
  const points = outline(pen, stretch, isOpen);
  const colour = colourOf(theme, stretch.hue);
  trace(pen, points);
  ctx.fillStyle = colour;
  ctx.globalAlpha = isSmall ? 0.9 : 0.2;
  ctx.fill();
  ctx.globalAlpha = 1;
  if (isSmall) return;
  ctx.fillStyle = hatch(ctx, colour);
  ctx.fill();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.stroke();
}

/** Half thicknesses along a stretch: one per bucket, or per pixel column if buckets are finer. */
function outline(pen: Pen, stretch: Stretch, isOpen: boolean): Point[] {
  const { scale, most, amp, isSmall } = pen;
  const least = isSmall ? 1 : 1.5;
  const half = (rate: number) => Math.max(least, Math.min(1, rate / most) * amp);
  const speeds = rates(stretch);
  const points: Point[] = [[scale.x(stretch.t0), least]];
  const last = speeds.length - 1;
  let [column, peak] = [-1, 0];
  for (const [at, rate] of speeds.entries()) {
    const x = scale.x(Math.min(stretch.t0 + (at + 0.5) * stretch.bucketS, stretch.t1));
    // A stretch begins and ends thin.
    const taper = Math.min(TAPER[at] ?? 1, isOpen ? 1 : (TAPER[last - at] ?? 1));
    const here = Math.floor(x / (isSmall ? 3 : 2));
    peak = here === column ? Math.max(peak, rate * taper) : rate * taper;
    if (here === column) points.pop();
    column = here;
    points.push([x, half(peak)]);
  }
  const end = points.at(-1)?.[1] ?? least;
  const x = Math.max(scale.x(stretch.t1), (points[0]?.[0] ?? 0) + 2);
  points.push([x, isOpen ? end * 0.7 : least]);
  return points;
}

function trace({ ctx, y }: Pen, points: readonly Point[]): void {
  const [first] = points;
  if (first === undefined) return;
  ctx.beginPath();
  ctx.moveTo(first[0], y - first[1]);
  side(ctx, points, (half) => y - half);
  const back = [...points].reverse();
  const [last] = back;
  if (last !== undefined) ctx.lineTo(last[0], y + last[1]);
  side(ctx, back, (half) => y + half);
  ctx.closePath();
}

function side(
  ctx: CanvasRenderingContext2D,
  points: readonly Point[],
  at: (half: number) => number,
): void {
  for (let next = 1; next < points.length; next += 1) {
    const [x0, h0] = points[next - 1] as Point;
    const [x1, h1] = points[next] as Point;
    const middle = (x0 + x1) / 2;
    ctx.bezierCurveTo(middle, at(h0), middle, at(h1), x1, at(h1));
  }
}

const hatches = new Map<string, CanvasPattern | string>();

/** Diagonal lines, as on a twisted thread. */
function hatch(ctx: CanvasRenderingContext2D, colour: string): CanvasPattern | string {
  const known = hatches.get(colour);
  if (known !== undefined) return known;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 14;
  const paint = tile.getContext("2d");
  if (paint === null) return colour;
  paint.fillStyle = colour;
  paint.globalAlpha = 0.62;
  paint.fillRect(0, 0, 4.4, 14);
  const pattern = ctx.createPattern(tile, "repeat");
  pattern?.setTransform(new DOMMatrix().rotate(38).scale(0.5));
  const made = pattern ?? colour;
  hatches.set(colour, made);
  return made;
}

/** Silence on a live connection, as a slack line. */
export function drawSlack(pen: Pen, hue: Hue, t0: number, t1: number): void {
  const { ctx, scale, theme, y, isSmall } = pen;
  const [from, to] = [scale.x(t0), scale.x(t1)];
  const sag = Math.min(isSmall ? 7 : 22, Math.max(2, (to - from) * 0.6));
  ctx.beginPath();
  ctx.moveTo(from, y);
  ctx.quadraticCurveTo((from + to) / 2, y + sag, to, y);
  ctx.strokeStyle = colourOf(theme, hue);
  ctx.lineWidth = 1.5;
  ctx.stroke();
}

/** Stitches stand close together, however long the break; a slack line leads up to them. */
export function seamStart({ scale, isSmall }: Pen, t0: number, t1: number): number {
  const to = scale.x(t1);
  return isSmall ? Math.min(scale.x(t0), to) : Math.min(Math.max(scale.x(t0), to - 52), to - 14);
}

/** Closer than this, in pixels, seams are one drawing with a count. */
const MERGED_PX = 6;

export interface SeamGroup {
  readonly t0: number;
  t1: number;
  count: number;
}

/** Seams as they can be told apart at this scale. */
export function seamGroups(
  { scale }: Pick<Pen, "scale">,
  seams: readonly { t0: number; t1: number }[],
): SeamGroup[] {
  const groups: SeamGroup[] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const { t0, t1 } of [...seams].sort((a, b) => a.t1 - b.t1)) {
    const last = groups.at(-1);
    if (last !== undefined && scale.x(t1) - end < MERGED_PX) {
      last.count += 1;
      last.t1 = t1;
    } else groups.push({ t0, t1, count: 1 });
    end = scale.x(t1);
  }
  return groups;
}

export function drawSeam(pen: Pen, { t0, t1, count }: SeamGroup): void {
  const { ctx, scale, theme, y, isSmall } = pen;
  const to = scale.x(t1);
  const from = seamStart(pen, t0, t1);
  ctx.strokeStyle = theme.colour.seam;
  ctx.lineWidth = 2;
  ctx.lineCap = "round";
  ctx.beginPath();
  if (isSmall) {
    const middle = (from + to) / 2;
    for (const shift of [-2.5, 1.5]) stitch(ctx, middle + shift, y + 6, 3, 12);
  } else {
    const stitches = Math.max(3, Math.min(9, Math.round((to - from) / 7)));
    const width = (to - from) / stitches;
    for (let at = 0; at < stitches; at += 1) stitch(ctx, from + at * width, y + 11, width + 3, 22);
  }
  ctx.stroke();
  ctx.lineCap = "butt";
  if (count === 1) return;
  ctx.font = `600 ${isSmall ? 10 : 11}px ${theme.log}`;
  ctx.fillStyle = theme.colour["seam-ink"];
  ctx.fillText(`×${count}`, to + 3, y + (isSmall ? 10 : 22));
}

function stitch(ctx: CanvasRenderingContext2D, x: number, y: number, dx: number, dy: number): void {
  ctx.moveTo(x, y);
  ctx.lineTo(x + dx, y - dy);
}

export function drawEnd(pen: Pen, shape: TimelineShape, x: number, hue: Hue): void {
  const { ctx, theme, y, isSmall } = pen;
  const r = isSmall ? 3.2 : 6;
  ctx.lineCap = "round";
  ctx.lineWidth = isSmall ? 1.5 : 2;
  ctx.strokeStyle = ctx.fillStyle = colourOf(theme, hue);
  ctx.beginPath();
  const ends: Record<Ending, () => void> = {
    completed: () => {
      ctx.arc(x + r, y, r, 0, 2 * Math.PI);
      ctx.fill();
    },
    incomplete: () => {
      for (const bend of [-1.4, 0, 1.4]) {
        ctx.moveTo(x, y);
        ctx.bezierCurveTo(x + r, y, x + r * 1.4, y + bend * r, x + r * 2.6, y + bend * r);
      }
      ctx.stroke();
    },
    failed: () => {
      ctx.strokeStyle = theme.colour.bad;
      stitch(ctx, x + 3, y - r, 2 * r, -2 * r);
      stitch(ctx, x + 3, y + r, 2 * r, 2 * r);
      ctx.stroke();
    },
    cancelled: () => {
      ctx.strokeStyle = theme.colour["ink-3"];
      stitch(ctx, x + 1.5, y + r * 1.5, 0, r * 3);
      ctx.stroke();
    },
  };
  if (shape.end !== null) ends[shape.end]();
  ctx.lineCap = "butt";
}

/** A spool at the end of a live run. */
export function drawSpool(pen: Pen, x: number, hue: Hue): void {
  const { ctx, theme, y, isSmall } = pen;
  const r = isSmall ? 4 : 10;
  const centre = x + r * 0.4;
  ctx.strokeStyle = colourOf(theme, hue);
  for (const [radius, width, isFilled] of [
    [r, isSmall ? 1.5 : 2, true],
    [r * 0.5, isSmall ? 1 : 1.5, false],
  ] as const) {
    ctx.beginPath();
    ctx.arc(centre, y, radius, 0, 2 * Math.PI);
    ctx.fillStyle = theme.colour.surface;
    if (isFilled) ctx.fill();
    ctx.lineWidth = width;
    ctx.stroke();
  }
  ctx.beginPath();
  ctx.arc(centre, y, isSmall ? 0.8 : 1.5, 0, 2 * Math.PI);
  ctx.fillStyle = colourOf(theme, hue);
  ctx.fill();
}

/** The expected rest, as a dotted line. */
export function drawGhost(pen: Pen, t0: number, t1: number): void {
  const { ctx, scale, theme, y } = pen;
  ctx.beginPath();
  ctx.moveTo(scale.x(t0), y);
  ctx.lineTo(scale.x(t1), y);
  ctx.setLineDash([1, 5]);
  ctx.lineCap = "round";
  ctx.lineWidth = 2;
  ctx.strokeStyle = theme.colour["line-strong"];
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.lineCap = "butt";
}
