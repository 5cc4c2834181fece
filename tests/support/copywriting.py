"""Posts that models write."""

from __future__ import annotations

LONG = "这款鞋的鞋面是飞织的，走一天也不闷脚，下班顺路走两站刚刚好。"
