/** Paints a timeline in its two sizes. The finished part is painted once and reused. */

import { LANE, lanes, paintAxis, paintBrackets, paintPlaces, paintSeamLabels } from "./annotations";
import type { Drawing, Frame } from "./drawing";
import type { Bracket, Stretch } from "./fold";
import type { Hue } from "./hues";
import { fastest, type Scale, scaleOf, spanFor } from "./scale";
import {
  drawEnd,
  drawGhost,
  drawSeam,
  drawSlack,
  drawSpool,
  drawStretch,
  type Pen,
  seamGroups,
  seamStart,
} from "./strokes";

/** A drawing lower than this is one of a narrow screen. */
const LOW = 150;

const ROOM = { small: { left: 1, right: 18, amp: 7 }, large: { left: 0, right: 26, amp: 30 } };

export function scaleFor(drawing: Drawing, frame: Frame): Scale {
  const room = frame.isSmall ? ROOM.small : ROOM.large;
  const spanS = drawing.spanS ?? spanFor(drawing.shape, drawing.nowS, drawing.etaS);
  return scaleOf(frame.width, spanS, room.left, room.right);
}

/** The centre line of a timeline: it leaves room for the brackets of parallel steps above. */
function lineOf(frame: Frame, steps: readonly Bracket[]): { y: number; amp: number } {
  if (frame.isSmall) return { y: frame.height / 2, amp: ROOM.small.amp };
  const more = Math.max(0, Math.max(0, ...lanes(steps)));
  if (frame.isPlain) {
    const room = frame.height - (steps.length > 0 ? 20 + more * LANE : 0);
    const amp = Math.min(ROOM.large.amp, room * 0.38);
    return { y: frame.height - room / 2, amp };
  }
  const isLow = frame.height < LOW;
  const amp = (isLow ? 22 : ROOM.large.amp) - 3 * more;
  return { y: (isLow ? 52 : 76) + more * (LANE - 2), amp };
}

/** Paints one canvas, and reuses the picture of the finished part. */
export class Painter {
  readonly #ctx: CanvasRenderingContext2D;
  readonly #still = document.createElement("canvas");
  #stillKey = "";
  #peak = 1;

  constructor(canvas: HTMLCanvasElement) {
    this.#ctx = canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  paint(drawing: Drawing, frame: Frame): void {
    const { ratio, width, height } = frame;
    const canvas = this.#ctx.canvas;
    if (
      canvas.width !== Math.round(width * ratio) ||
      canvas.height !== Math.round(height * ratio)
    ) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = this.#pen(drawing, frame, this.#ctx);
    this.#ctx.setTransform(1, 0, 0, 1, 0, 0);
    this.#ctx.clearRect(0, 0, canvas.width, canvas.height);
    this.#paintStill(drawing, frame, pen);
    this.#ctx.drawImage(this.#still, 0, 0);
    this.#ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    paintEnd(pen, drawing);
    if (!frame.isSmall && !frame.isPlain) paintPlaces(pen, drawing, frame);
  }

  #pen(drawing: Drawing, frame: Frame, ctx: CanvasRenderingContext2D): Pen {
    // The scale grows in steps, so that a live timeline does not pulse with every word.
    const most = drawing.most ?? fastest(drawing.shape);
    if (drawing.most != null || most > this.#peak || most < this.#peak * 0.6)
      this.#peak = most * 1.05;
    const scale = scaleFor(drawing, frame);
    return {
      ctx,
      scale,
      theme: frame.theme,
      ...lineOf(frame, drawing.shape.steps),
      most: this.#peak,
      isSmall: frame.isSmall,
    };
  }

  /** All but the last stretch stays the same as long as the scale does. */
  #paintStill(drawing: Drawing, frame: Frame, pen: Pen): void {
    const { shape } = drawing;
    const closed =
      shape.end === null ? Math.max(0, shape.stretches.length - 1) : shape.stretches.length;
    const steps = shape.steps.map((step) => `${step.t1}${step.isRewound}`).join();
    const key = [
      frame.width,
      frame.height,
      frame.ratio,
      frame.theme.isDark,
      pen.scale.spanS,
      pen.most,
      closed,
      shape.seams.length,
      steps,
      shape.end,
      shape.stretches.length,
    ].join("|");
    if (key === this.#stillKey) return;
    this.#stillKey = key;
    this.#still.width = this.#ctx.canvas.width;
    this.#still.height = this.#ctx.canvas.height;
    const ctx = this.#still.getContext("2d") as CanvasRenderingContext2D;
    ctx.setTransform(frame.ratio, 0, 0, frame.ratio, 0, 0);
    paintStill({ ...pen, ctx }, drawing, frame, closed);
  }
}

function paintStill(pen: Pen, drawing: Drawing, frame: Frame, closed: number): void {
  const { shape } = drawing;
  if (!frame.isSmall && !frame.isPlain) paintAxis(pen);
  const [first] = shape.stretches;
  if (first !== undefined && first.t0 > 1) drawSlack(pen, first.hue, 0, first.t0);
  let before: Stretch | undefined;
  shape.stretches.forEach((stretch, at) => {
    if (before !== undefined && stretch.t0 > before.t1) paintGap(pen, drawing, before, stretch);
    if (before === undefined || stretch.t1 > before.t1) before = stretch;
    if (at < closed) drawStretch(pen, stretch, false);
  });
  for (const group of seamGroups(pen, shape.seams)) drawSeam(pen, group);
  if (!frame.isSmall && !frame.isPlain) paintSeamLabels(pen, drawing);
  // A low drawing has room for one line of labels: the seams matter more than the steps.
  const isLow = !frame.isPlain && frame.height < LOW && shape.seams.length > 0;
  if (!frame.isSmall && !isLow) paintBrackets(pen, drawing);
}

function paintGap(
  pen: Pen,
  { shape }: Drawing,
  before: { t1: number; hue: Hue },
  after: { t0: number; hue: Hue },
): void {
  const seam = shape.seams.find(({ t1 }) => t1 <= after.t0 + 0.001 && t1 > before.t1);
  const end =
    seam === undefined
      ? after.t0
      : Math.max(before.t1, pen.scale.seconds(seamStart(pen, seam.t0, seam.t1)));
  if (end <= before.t1) return;
  // Nothing could come while a person was asked: that is no silence of a model.
  if (isAsked(shape, before.t1, end)) drawGhost(pen, before.t1, end);
  else drawSlack(pen, before.hue, before.t1, end);
}

const isAsked = ({ waits = [] }: Drawing["shape"], fromS: number, toS: number) =>
  waits.some(({ t0, t1 }) => t0 < toS && (t1 ?? toS) > fromS);

function paintEnd(pen: Pen, drawing: Drawing): void {
  const { shape, nowS, etaS } = drawing;
  const last = shape.stretches.at(-1);
  // Of parallel stretches, the one that ended last carries the end of the timeline.
  const latest = shape.stretches.reduce(
    (found, each) => (found !== undefined && found.t1 > each.t1 ? found : each),
    last,
  );
  const hue = latest?.hue ?? "d";
  const endS = latest?.t1 ?? 0;
  if (shape.end !== null) {
    // An end long after the last word is drawn at its own time, behind a slack line.
    const isLate = shape.lastS - endS > 1;
    if (isLate && isAsked(shape, endS, shape.lastS)) drawGhost(pen, endS, shape.lastS);
    else if (isLate) drawSlack(pen, hue, endS, shape.lastS);
    drawEnd(pen, shape, pen.scale.x(isLate ? shape.lastS : endS), hue);
    return;
  }
  const waits = nowS - endS > 1;
  const place = waits ? nowS : endS;
  if (etaS !== null && etaS > place) drawGhost(pen, place, Math.min(etaS, pen.scale.spanS));
  if (last !== undefined) drawStretch(pen, last, !waits);
  if (waits && (drawing.isWaiting || isAsked(shape, endS, nowS))) drawGhost(pen, endS, nowS);
  else if (waits) drawSlack(pen, hue, endS, nowS);
  if (last !== undefined || waits) drawSpool(pen, pen.scale.x(place), hue);
}
