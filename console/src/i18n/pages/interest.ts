/** Words of a reader's interest in a product. */

export const zh = {
  stays: "{n} 次，最长停留 {s} 秒",
  actions: "做过",
  and: "、",
  has_seen_sizes: "尺码表",
  has_opened_buy_page: "购买页",
  has_favorited: "收藏",
  has_shared: "分享",
  has_bought: "购买",
};

export const en = {
  stays: "{n}, the longest {s} s",
  actions: "Actions",
  and: ", ",
  has_seen_sizes: "size chart",
  has_opened_buy_page: "buy page",
  has_favorited: "favourite",
  has_shared: "shared",
  has_bought: "bought",
};
