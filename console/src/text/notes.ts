/** Notes in the margin: each beside its seam, or below the note before it. */

/** More notes than these show their headings only. */
const MAX_OPEN = 3;
const GAP_PX = 6;

export interface Wanted {
  readonly note: HTMLDetailsElement;
  /** Where its seam is, in pixels from the top of the text. */
  readonly top: number;
}

/** The places of notes that must not cover each other, in order. */
export function placesOf(notes: readonly { top: number; height: number }[]): number[] {
  let free = Number.NEGATIVE_INFINITY;
  return notes.map(({ top, height }) => {
    const place = Math.max(top, free);
    free = place + height + GAP_PX;
    return place;
  });
}

/** Reads all sizes before it writes any place: otherwise each note would cost a layout. */
export function placeNotes(margin: HTMLElement, wanted: readonly Wanted[]): void {
  const manner = wanted.length > MAX_OPEN ? "folded" : "open";
  for (const { note } of wanted) {
    if (note.dataset.manner === manner) continue; // what a reader opened stays open
    note.dataset.manner = manner;
    note.open = manner === "open";
  }
  const sized = wanted.map(({ note, top }) => ({ top, height: note.offsetHeight }));
  const places = placesOf(sized);
  for (const [at, { note }] of wanted.entries()) note.style.top = `${places[at]}px`;
  const last = sized.at(-1);
  margin.style.minHeight = last ? `${(places.at(-1) ?? 0) + last.height}px` : "";
}
