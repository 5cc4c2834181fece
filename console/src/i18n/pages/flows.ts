/** Words of flows. */

export const zh = {
  crumb: "每个流程一张表单，由它的 JSON Schema 生成",
  none: "服务器没有列出流程。",
  start: "运行",
  result: "结果",
  blank: "填好表单，点“运行”，文字会出现在这里。",
  required: "必填",
  addItem: "加一项",
  removeItem: "去掉",
  badJson: "这不是 JSON",
  badNumber: "这不是数字",
  yours: "自己的流程放进 src/unspool/flows/，就会出现在这里。",
};

export const en = {
  crumb: "one form per flow, made from its JSON Schema",
  none: "The server has no flows.",
  start: "Run",
  result: "Result",
  blank: "Fill in the form and press Run. The text appears here.",
  required: "required",
  addItem: "Add one",
  removeItem: "Remove",
  badJson: "This is not valid JSON",
  badNumber: "This is not a number",
  yours: "Put your own flow into src/unspool/flows/, and it appears here.",
};
