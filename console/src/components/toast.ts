/** A short message. Element Plus shows it, loaded once the first page is there. */

/**
 * How long each kind stays, in ms. A fault may be shown nowhere else, so it stays until it is
 * closed: with the mouse, or with Escape.
 */
const STAYS_MS = { ok: 2600, cancelled: 6000, bad: 0 } as const;
const TYPES = { ok: "success", cancelled: "error", bad: "error" } as const;

/** Faults shown at once: an older one gives way. */
const MAX_FAULTS = 3;

interface Fault {
  readonly message: string;
  close(): void;
}
let faults: Fault[] = [];

export async function readyToToast() {
  const [{ ElMessage }] = await Promise.all([
    import("element-plus/es/components/message/index.mjs"),
    import("element-plus/theme-chalk/el-message.css"),
  ]);
  return ElMessage;
}

export async function toast(message: string, kind: keyof typeof STAYS_MS = "ok"): Promise<void> {
  const ElMessage = await readyToToast();
  // Several requests fail for one reason: it is said once.
  if (faults.some((each) => each.message === message)) return;
  const shown = ElMessage({
    message,
    type: TYPES[kind],
    plain: true,
    offset: 58,
    duration: STAYS_MS[kind],
    showClose: kind === "bad",
    onClose: () => {
      faults = faults.filter((each) => each !== fault);
    },
  });
  const fault = { message, close: shown.close };
  if (kind !== "bad") return;
  faults.push(fault);
  if (faults.length > MAX_FAULTS) faults.shift()?.close();
}

export async function copyText(text: string): Promise<void> {
  await navigator.clipboard.writeText(text).catch(() => {});
}
