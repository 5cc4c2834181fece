/** Words of extraction. */

export const zh = {
  counts: "{b} 条行为 · {e} 个事件",
  users: "{n} 位用户",
  user: "用户",
  behaviors: "行为",
  events: "事件",
  progress: "进度",
  busy: "生成中…",
  cancelBatch: "取消批量",
  batch: "批量抽象",
  stored: "个事件已入库",
  odd: "行未能识别，已保留",
  seeRun: "查看运行",
  blank: "点一位用户的“重新生成”，日志会出现在这里。",
  none: "没有用户。先导入行为：unspool import",
};

export const en = {
  counts: "{b} behaviours · {e} events",
  users: "{n} users",
  user: "User",
  behaviors: "Behaviours",
  events: "Events",
  progress: "Progress",
  busy: "Running…",
  cancelBatch: "Cancel batch",
  batch: "Extract all",
  stored: "events stored",
  odd: "lines not recognised, but kept",
  seeRun: "Show the run",
  blank: "Press 重新生成 next to a user. The log appears here.",
  none: "No users yet. Import behaviours first: unspool import",
};
