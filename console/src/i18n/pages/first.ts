/** Words of the first visit. */

export const zh = {
  title: "一次运行，就是一条时间线。",
  lead:
    "模型说的每个字先记进日志，再给人看。" +
    "所以刷新、断网、重启服务器，都不会丢一个字；谁来看，都只是时间线上的一个位置。",
  one: "先看它跑起来",
  oneHow: "没有配置密钥也可以，内置的离线模型会写三篇文案。",
  oneDo: "生成第一条",
  two: "写到一半时，断开连接",
  twoHow: "运行页上有“断开连接试试”。断开，等一会儿，再回来。",
  three: "接上你自己的模型",
  threeHow: "任何兼容 OpenAI 的地址都行，本机的 llama.cpp 也行。",
  threeDo: "添加模型",
  twoDo: "打开最近一次运行",
  api: "接口文档",
  timeline: "时间线",
  timelineIs: "一次运行。越粗，每秒到的字越多。",
  gold: "金色针脚",
  goldIs: "原来的模型断了，另一个从同一个字后面接着写。",
  slack: "松弛",
  slackIs: "停了，但连接还在。",
  ends: "末端",
  endsIs: "结：写完了；散：没写完；横杠：已取消；叉：失败。",
  viewer: "小三角",
  viewerIs: "一位看的人，和他看到的位置。",
  replaying: "回放中",
};

export const en = {
  title: "Every run is a timeline.",
  lead:
    "Unspool writes every word of a model to its log before anyone sees it. " +
    "So a refresh, a dropped network or a server restart loses nothing: " +
    "a viewer is only a place on the timeline.",
  one: "Watch one run",
  oneHow: "You need no key: the built-in offline model writes three posts.",
  oneDo: "Start the first run",
  two: "Disconnect halfway",
  twoHow: "Press “Disconnect” on the run page. Wait a little, then reconnect.",
  three: "Add your own model",
  threeHow: "Any address that speaks OpenAI's protocol works, including llama.cpp on this machine.",
  threeDo: "Add a model",
  twoDo: "Open the latest run",
  api: "API reference",
  timeline: "Timeline",
  timelineIs: "One run. The thicker it is, the more tokens arrive per second.",
  gold: "Gold stitches",
  goldIs: "One model broke off; another continued right after the same character.",
  slack: "Slack",
  slackIs: "Nothing arrives, but the connection is alive.",
  ends: "The end",
  endsIs: "A knot: completed. A fray: incomplete. A bar: cancelled. A cross: failed.",
  viewer: "Triangles",
  viewerIs: "A viewer, and how far they have read.",
  replaying: "replaying",
};
