"""
Words of mere grammar: a name or a question may have them besides names, and they say nothing.

Neither list is a dictionary. A word that is missing here makes a question look as if it were
about something unknown; a word too many hides what is unknown.
"""

from __future__ import annotations

from typing import Final

_CHINESE: Final = """
为什么 为何 什么 哪些 哪个 哪种 哪一 哪里 怎么样 怎么 怎样 如何 多少 多久 多长
几天 几次 几个 谁 是否 会不会 有没有 能不能 是不是 可不可以 吗 呢 吧 啊 了 的
地 得 着 过 和 与 或 还是 还有 以及 及 但是 但 却 而 而且 因为 所以 如果
的话 当 时候 之后 以后 然后 后来 后 之前 以前 前 随后 接着 期间 中间 之间
里面 里 之中 其中 当中 图上 以上 以下 最 更 比较 较 很 今天 昨天 明天 现在 目前 当前 内 以内
之内 非常 特别 主要 容易 可能 常常 常 经常 往往 通常 一般 大多 多数 大部分
部分 少数 一些 有些 所有 全部 整体 总体 每个 其他 别的 另外 人们 人群 人 者
用户 顾客 客户 会员 买家 消费者 群体 大家 我们 他们 她们 它们 你 我 他 她 它
商品 产品 东西 行为 事件 动作 步骤 环节 阶段 路径 流程 过程 情况 时 次数 个
比例 占比 百分比 概率 机率 转化率 率 间隔 时间 长度 平均 中位数 数量 数字 数据
影响 导致 引起 造成 促使 促进 带来 决定 原因 理由 因素 结果 关系 关联 相关
联系 区别 差别 差异 不同 相同 特点 特征 规律 结论 说明 表示 代表 意味着 显示
看出 看到 知道 分析 解释 告诉 请问 请 一下 根据 按照 从 在 对 对于 关于 被
把 让 使 给 到 向 由 用 以 于 这 那 这张 这个 那个 图 因果图 图谱 图中
图里 是 有 会 能 能够 可以 应该 要 想 去 来 做 进行 发生 出现 产生 属于 先
再 又 也 都 就 才 只 仅 还 均 并 且 一 二 两 三 首次 第一次 再次 多次
反复 重复 频繁 高频 低频 直接 间接 最终 最后 最近 立即 马上 很快 提高 提升
增加 减少 降低 改善 改进 建议 办法 方法 多 少 高 低 大 小 快 慢 强 弱 好
差 么 们 没有 没 不 未 无 若 则 者的 其 该 此 本 同样 一起 要不要 到底
究竟 真的 其实 顺序 先后 概况 重要 关键 规模 活跃 完成 成功 偏 较高 较低
"""

_ENGLISH: Final = """
a an the of to in on at by for from with and or but if then than is are was were be been do does
did not no what which who whom whose why how when where many much often long most more less
least some all any people person user users customer customers shopper shoppers they them their
it its this that these those there here graph after before later next lead leads leading cause
causes caused effect effects result results influence between relation show shows say says tell
me us you we i can could would should will have has had as about into out up day days time times
share rate average
"""

CHINESE: Final = sorted(_CHINESE.split(), key=len, reverse=True)
"""The longest first, because that is how they are taken away."""

ENGLISH: Final = frozenset(_ENGLISH.split())
