/** A short message that goes away by itself. Element Plus shows it, loaded on first use. */

export async function toast(message: string, kind: "ok" | "bad" = "ok"): Promise<void> {
  const [{ ElMessage }] = await Promise.all([
    import("element-plus/es/components/message/index.mjs"),
    import("element-plus/theme-chalk/el-message.css"),
  ]);
  ElMessage({
    message,
    type: kind === "ok" ? "success" : "error",
    plain: true,
    offset: 58,
    duration: kind === "ok" ? 2600 : 6000,
  });
}

export async function copyText(text: string): Promise<void> {
  await navigator.clipboard.writeText(text).catch(() => {});
}
