/** Runs of Unspool, followed to their end. See README.md; the wire is in PROTOCOL.md. */

export type { Contact, Options, Ticket } from "./connection.ts";
export { type ErrorCode, UnspoolError } from "./errors.ts";
export { type Ending, endingOf, type RunEvent } from "./events.ts";
export { type Attempt, type Question, RunFold, type Step, type ToolCall } from "./fold.ts";
export {
  type FollowOptions,
  followRun,
  type OpenOptions,
  OpenRun,
  openRun,
  runUrlOf,
} from "./run.ts";
export { type Frame, FrameTooLong, MAX_FRAME_CHARS, SseDecoder } from "./sse.ts";
export { tokensOf, weigh } from "./tokens.ts";
