/** The shape of each state, which is also the end of a run's timeline, and the icons. */

export type StateName =
  | "streaming"
  | "stalled"
  | "resumed"
  | "continued"
  | "completed"
  | "incomplete"
  | "failed"
  | "cancelled"
  | "cached"
  | "queued"
  | "waiting";

export interface Stroke {
  readonly d: string;
  /** Filled, not drawn as a line. */
  readonly fill?: boolean;
  readonly width?: number;
  readonly dash?: string;
}

/** On a square of 14. */
export const SHAPES: Readonly<Record<StateName, readonly Stroke[]>> = {
  streaming: [
    { d: "M1.8 7a5.2 5.2 0 1 0 10.4 0a5.2 5.2 0 1 0-10.4 0" },
    { d: "M5 7a2 2 0 1 0 4 0a2 2 0 1 0-4 0", fill: true },
  ],
  stalled: [{ d: "M1 4.5C4 11.5 10 11.5 13 4.5" }],
  resumed: [{ d: "M11.8 8.6A5 5 0 1 1 11 3.9M11.3 1.2v3h-3" }],
  continued: [{ d: "M3 11L6 3M6.2 11L9.2 3M9.4 11l3-8", width: 1.7 }],
  completed: [
    { d: "M0 7h3M11 7h3" },
    { d: "M2.6 7a4.4 4.4 0 1 0 8.8 0a4.4 4.4 0 1 0-8.8 0", fill: true },
  ],
  incomplete: [{ d: "M0 7h6M6 7c3 0 4-3.4 7-4M6 7h7M6 7c3 0 4 3.4 7 4", width: 1.5 }],
  failed: [{ d: "M3 3l8 8M11 3l-8 8", width: 1.8 }],
  cancelled: [{ d: "M0 7h9" }, { d: "M10 2.5v9", width: 1.8 }],
  cached: [{ d: "M1 4.8h12M1 9.2h12" }],
  queued: [{ d: "M2.4 7a4.6 4.6 0 1 0 9.2 0a4.6 4.6 0 1 0-9.2 0", width: 1.4, dash: "2 2.2" }],
  waiting: [
    { d: "M4.6 5.2a2.4 2.4 0 1 1 3.4 2.2c-.7.3-1 .8-1 1.6" },
    { d: "M6.1 11.6a.9.9 0 1 0 1.8 0a.9.9 0 1 0-1.8 0", fill: true },
  ],
};

/** On a square of 16. */
export const ICONS = {
  cases: "M3 2h10v12H3zM5 6l1 1 2-2M5 11l1 1 2-2M10 6h1M10 11h1",
  debug: "M2 3h12v10H2zM5 6l2 2-2 2M9 10h3",
  copy: "M3 2h10v12H3zM5.5 5.5h5M5.5 8h5M5.5 10.5h3",
  extraction: "M2 4h12M2 8h7M2 12h4M12 8v6M9.5 11.5L12 14l2.5-2.5",
  graph:
    "M2 4a2 2 0 1 0 4 0a2 2 0 1 0-4 0M10 7a2 2 0 1 0 4 0a2 2 0 1 0-4 0" +
    "M3 13a2 2 0 1 0 4 0a2 2 0 1 0-4 0M5.9 4.5l4.2 2M10.4 8.4l-4 3.4",
  story: "M2 3h5l1 1 1-1h5v10H9l-1 1-1-1H2zM8 4v9.5",
  flows: "M2 4h4v3H2zM10 2h4v3h-4zM10 10h4v3h-4zM6 5.5h2v6h2M8 5.5V3.5h2",
  runs: "M1 4h9M1 8h13M1 12h6M12.5 4h1M9.5 12h1",
  models: "M8 1.5l6 3.2v6.6L8 14.5l-6-3.2V4.7zM2 4.7l6 3.2 6-3.2M8 8v6.5",
  data: "M2.5 4c0-2.2 11-2.2 11 0v8c0 2.2-11 2.2-11 0zM2.5 4c0 2.2 11 2.2 11 0M2.5 8c0 2.2 11 2.2 11 0",
  usage: "M2 14V9M6 14V5M10 14V7.5M14 14V2",
  prompts: "M2 3h12v8H8l-3 3v-3H2zM5 6h6M5 8.5h4",
  tools: "M10 2a3.5 3.5 0 0 0-3.3 4.7L2 11.4V14h2.6l4.7-4.7A3.5 3.5 0 1 0 10 2M10.5 5.5h.1",
  guide:
    "M8 14a6 6 0 1 0 0-12a6 6 0 1 0 0 12M6.2 6.2a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.8.7-.8 1.4M8 11.4v.1",
  settings:
    "M2 4.5h7M12 4.5h2M9 4.5a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0" +
    "M2 11.5h2M7 11.5h7M4 11.5a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0",
  keys: "M1.5 8a3 3 0 1 0 6 0a3 3 0 1 0-6 0M7.5 8h7v3M11.5 8v2.2",
  more: "M3.5 8h.1M8 8h.1M12.5 8h.1",
  play: "M4 2.5v11l9-5.5z",
  pause: "M4.5 3v10M11.5 3v10",
  fold: "M3.5 10L8 5.5l4.5 4.5",
  unfold: "M3.5 6L8 10.5 12.5 6",
  left: "M10 3.5L5.5 8l4.5 4.5",
  right: "M6 3.5L10.5 8 6 12.5",
  up: "M5 14V7l3-5 1 .6V6h4l-1 8zM2.5 7H5v7H2.5z",
  down: "M11 2v7l-3 5-1-.6V10H3l1-8zM13.5 9H11V2h2.5z",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
} as const;

export type IconName = keyof typeof ICONS;

/** The stitch in a text, on 17 by 15. */
export const STITCH = "M2 13L5.5 2M7 13l3.5-11M12 13l3.5-11";
