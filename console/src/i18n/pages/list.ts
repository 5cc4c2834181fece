/** Words of lists in pages. */

export const zh = {
  place: "第 {from}–{to} 位，共 {n} 位",
  rows: "第 {from}–{to} 条，共 {n} 条",
  before: "上一页",
  after: "下一页",
};

export const en = {
  place: "{from}–{to} of {n}",
  rows: "{from}–{to} of {n}",
  before: "Previous page",
  after: "Next page",
};
