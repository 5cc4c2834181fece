/** Words of the states of a run. */

export const zh = {
  crumb: "先是形状，再是词，最后才是颜色",
  message: "提示",
  next: "下一步",
  streaming: "正在写，预计还有 6 秒。",
  stalled: "9 秒没有新内容，连接仍在。满 30 秒换下一个模型。",
  waiting: "在等人回答：批准调用工具 get_weather 吗？",
  resumed: "已从第 142 个事件继续，没有丢字。",
  continued: "deepseek-chat 中断，由 qwen-plus 从同一处接续。",
  completed: "写完了，412 个 token，¥0.0021。",
  incomplete: "没有写完：到达长度上限。以上文字可用，但不是全部。",
  failed: "密钥被拒绝（401）。到“模型”里更换密钥。",
  cancelled: "你在 14:06 取消了。已写的 88 个 token 保留并计费。",
  cached: "来自 13:57 的同一请求，没有费用。",
  fades: "3 秒后淡去",
  voiceUi: "控制台说话用黑体。",
  voiceText: "模型写的字用宋体。",
  voiceLog: "日志用等宽体。seq 178 attempt.started",
};

export const en = {
  crumb: "first a shape, then a word, then a colour",
  message: "Message",
  next: "Next step",
  streaming: "Writing, about 6 s left.",
  stalled: "No new text for 9 s; still connected. Another model takes over after 30 s.",
  waiting: "Waiting for an answer: may the model call get_weather?",
  resumed: "Resumed after event 142; nothing was lost.",
  continued: "deepseek-chat broke off; qwen-plus continued from the same place.",
  completed: "Done: 412 tokens, ¥0.0021.",
  incomplete:
    "Not finished: the length limit was reached. The text above is good but not complete.",
  failed: "The provider refused the key (401). Replace it under Models.",
  cancelled: "You cancelled at 14:06. The 88 tokens so far are kept and billed.",
  cached: "From the same request at 13:57, at no cost.",
  fades: "fades out after 3 s",
  voiceUi: "The console uses a sans-serif face.",
  voiceText: "A model’s text is set like a book page.",
  voiceLog: "The log is monospaced. seq 178 attempt.started",
};
