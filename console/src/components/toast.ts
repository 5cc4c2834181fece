/** A word in passing. Element Plus brings it; it is loaded when there is first one to say. */

export async function toast(words: string, kind: "ok" | "bad" = "ok"): Promise<void> {
  const [{ ElMessage }] = await Promise.all([
    import("element-plus/es/components/message/index.mjs"),
    import("element-plus/theme-chalk/el-message.css"),
  ]);
  ElMessage({
    message: words,
    type: kind === "ok" ? "success" : "error",
    plain: true,
    offset: 58,
    duration: kind === "ok" ? 2600 : 6000,
  });
}

export async function copyText(words: string): Promise<void> {
  await navigator.clipboard.writeText(words).catch(() => {});
}
