/**
 * The log panel of an extraction, as the contract has it: progress, the model's lines, and which of
 * them are events. A fold of the run's events.
 */

import { endingOf, type RunEvent } from "unspool-client";

export interface LogLine {
  readonly kind: "rule" | "progress" | "line" | "error";
  readonly text: string;
  /** Whether a line became an event; null until that is known. */
  isEvent: boolean | null;
}

export class ExtractionLog {
  readonly lines: LogLine[] = [];
  /** The line that is still being written. */
  open = "";
  stored = 0;
  unread = 0;
  ungrounded = 0;
  /** The steps of the run: one for each window of the history. */
  readonly steps: string[] = [];
  #user = "";
  /** The person's name in the model's lines, where the id itself goes to no vendor. */
  #alias = "";
  /** Index of the first line that is not judged yet. */
  #judged = 0;

  apply(event: RunEvent): void {
    const { type, data } = event;
    if (type === "run.started") {
      this.#user = String(data.input?.user_id ?? "");
      this.#alias = String(data.input?.alias || this.#user);
      this.#push("rule", "--- LLM实时响应 ---");
      this.#push("progress", `[进度] 开始为用户 ${this.#user} 抽象事件...`);
    } else if (type === "progress.made") this.#push("progress", `[进度] ${data.message}`);
    else if (type === "step.started") this.steps.push(data.step);
    else if (type === "text.delta") this.#text(data.text);
    else if (type === "step.finished") this.#flush();
    else if (type === "step.rewound") this.open = "";
    else if (type === "item.found" && data.kind === "event") this.#event(data.item);
    else if (type === "warning.raised" && data.code === "unread_line")
      this.unread += data.count ?? 1;
    else if (type === "warning.raised" && data.code === "ungrounded")
      this.ungrounded += data.count ?? 1;
    else this.#end(event);
  }

  #push(kind: LogLine["kind"], text: string): void {
    const shown = kind === "line" ? this.#named(text) : text;
    this.lines.push({ kind, text: shown, isEvent: null });
  }

  /** The line with the person's id in its first field. */
  #named(line: string): string {
    const at = line.search(/[|｜]/);
    if (this.#alias === this.#user || at < 0) return line;
    return line.slice(0, at).replace(this.#alias, () => this.#user) + line.slice(at);
  }

  #text(text: string): void {
    const [first = "", ...others] = text.split("\n");
    this.open += first;
    for (const line of others) {
      this.#push("line", this.open);
      this.open = line;
    }
  }

  #flush(): void {
    if (this.open !== "") this.#push("line", this.open);
    this.open = "";
    this.#judge(this.lines.length);
  }

  /** An event follows the line it came from; the lines before that one were no events. */
  #event(item: { readonly type?: string; readonly context?: string }): void {
    this.stored += 1;
    const at = this.lines.findIndex(
      (line, place) =>
        place >= this.#judged && line.kind === "line" && line.text.includes(item.type ?? ""),
    );
    const line = this.lines[at];
    if (line === undefined) return;
    this.#judge(at);
    line.isEvent = true;
    this.#judged = at + 1;
  }

  #judge(end: number): void {
    for (let at = this.#judged; at < end; at += 1) {
      const line = this.lines[at];
      if (line?.kind === "line" && line.text.trim() !== "") line.isEvent ??= false;
    }
    this.#judged = Math.max(this.#judged, end);
  }

  #end(event: RunEvent): void {
    const ending = endingOf(event);
    if (ending === null) return;
    this.#flush();
    if (ending === "completed") this.#push("progress", `[进度] 成功保存 ${this.stored} 个事件`);
    else this.#push("error", String(event.data.message ?? ending));
    this.#push("rule", "--- 响应结束 ---");
  }
}
