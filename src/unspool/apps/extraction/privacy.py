"""
What of a person a model's vendor may see.

An id that says nothing (`user_0007`, `768933`) is sent as it is: it is a field of each line that
the model writes. Any other one, a name, a phone number or an address, has a stand-in in the prompt
and in the model's lines; who shows those lines puts the true id back. Of the profile, a model gets
gender, age group and city, unless the request asks for all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

STAND_IN: Final = "user_1"

HIDDEN: Final = "（略）"

_OPAQUE: Final = re.compile(
    r"(?:(?:user|u|uid|usr|customer|cust|c|member|mem|m|vip|visitor|v|guest|buyer|client|person|p|id|new)"
    r"[-_]?)?\d{1,10}|[0-9a-f]{16,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.IGNORECASE,
)
"""Ids that tell nothing. A phone number or the number of an identity card is longer."""

_PRIVATE_NAME: Final = re.compile(
    r"姓名|名字|昵称|收货人|收件人|联系人|电话|手机号|手机号码|邮箱|邮件|地址|身份证|证件|微信|qq|生日|出生|"
    r"收入|银行|卡号|(?:^|_)(?:name|username|nickname|phone|mobile|tel|email|e_mail|mail|address|addr|"
    r"id_?card|wechat|openid|unionid|imei|idfa|oaid|mac|ip|birthday|birth\w*|income\w*|salary|recipient)(?:$|_)",
    re.IGNORECASE,
)

_PRIVATE_VALUE: Final = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<!\d)(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d)"
    r"|(?<!\d)\d{17}[\dXx](?!\d)"
)
"""E-mail addresses, mobile phone numbers and numbers of identity cards in China."""

AGE_YEARS: Final = 10
"""Years of an age group."""


def alias_of(user_id: str) -> str:
    """Return the name of a person in the prompt; the id itself if that tells nothing."""
    return user_id if _OPAQUE.fullmatch(user_id) else STAND_IN


def shown_profile(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return gender, age group and city: what a model gets of a profile."""
    shown = {name: profile[name] for name in ("gender", "city") if profile.get(name)}
    age = profile.get("age")
    if isinstance(age, int):
        low = age // AGE_YEARS * AGE_YEARS
        shown["age"] = f"{low}–{low + AGE_YEARS - 1}"
    return shown


class Hiding:
    """Takes out of a person's behaviours what would tell who it is."""

    def __init__(self, user_id: str, alias: str, profile: Mapping[str, Any]) -> None:
        name = str(profile.get("name") or "")
        # A name of one character would take that character out of everything.
        named = [one for one in (user_id, name) if one != alias and len(one) > 1]
        self._named = re.compile("|".join(map(re.escape, named))) if named else None
        self._alias = alias

    def behavior(self, behavior: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(name, value) for name, value in behavior.items()}

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {inner: self._value(inner, one) for inner, one in value.items()}
        if value not in (None, "") and _PRIVATE_NAME.search(name):
            return HIDDEN
        if isinstance(value, str):
            text = _PRIVATE_VALUE.sub(HIDDEN, value)
            return self._named.sub(self._alias, text) if self._named else text
        return value


def with_true_id(line: str, alias: str, user_id: str) -> str:
    """Return a model's line with the true id in its first field."""
    if alias == user_id:
        return line
    found = re.match(rf"[^\w|｜]*[|｜]?[^\w|｜]*{re.escape(alias)}(?=[\s`*\"']*[|｜])", line)
    return (
        line if found is None else line[: found.end() - len(alias)] + user_id + line[found.end() :]
    )
