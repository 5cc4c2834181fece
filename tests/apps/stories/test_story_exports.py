"""A film plan as a file: nothing in a model's text becomes markup, a formula or a cue."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from typing import Any

import httpx
import pytest

from support.servers import Serve, Served, ServeModel
from support.stories import TEXT, project, told
from support.upstream import Upstream, answer
from unspool.apps.stories.exports import FORMATS, FilmPlan, Shot, exported

NASTY = [
    '=HYPERLINK("http://x","y")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    " =1+1",
    "＝1+1",
    "\r=1",
    "\ufeff=1",
]


def shot(number: int = 1, start: float = 0.0, end: float = 4.0, **more: Any) -> Shot:
    plain = {
        "number": number,
        "title": "题",
        "description": "画面",
        "narration": "",
        "characters": [],
    }
    camera = more.pop("camera", {})
    return Shot({**plain, **more}, camera, start, end)


def plan(*shots: Shot, name: str = "片子") -> FilmPlan:
    return FilmPlan(name, "主题", "文案。", shots, [{"name": "老人", "look": "白胡子"}])


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


# Shot list


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("field", ["title", "description", "narration"])
def test_s4_no_cell_of_a_shot_list_is_a_formula(text: str, field: str) -> None:
    written, _ = exported(plan(shot(**{field: text}, camera={"reason": text})), "csv")
    for row in cells(written)[1:]:
        assert not any(re.match(r"[\s\ufeff]*[=+\-@＝]", cell) for cell in row)
        assert f"'{text}" in row


def test_s4_a_shot_list_has_a_row_for_each_shot_and_opens_in_a_spreadsheet() -> None:
    camera = {"movement": "push", "reason": "靠近"}
    shots = (
        shot(description='有"引号"，逗号,\n换行', camera=camera, shot_size="close_up"),
        shot(2, 4, 9.5, characters=["老人", "孩子"], camera={"movement_text": "飞"}),
    )
    text, kind = exported(plan(*shots), "csv")
    assert text.startswith("\ufeff")
    assert kind == "text/csv; charset=utf-8"
    head, one, two = cells(text)
    assert len(head) == len(one) == len(two)
    assert one[:6] == ["1", "题", "特写", "推", '有"引号"，逗号,\n换行', ""]
    assert two[3:] == ["飞", "画面", "", "老人、孩子", "4", "5.5", ""]


# Subtitles


def times(text: str) -> list[tuple[float, float]]:
    stamp = r"(\d\d):(\d\d):(\d\d),(\d\d\d)"
    found = re.findall(rf"^{stamp} --> {stamp}$", text, re.MULTILINE)
    whole = [tuple(map(int, each)) for each in found]
    seconds = [
        tuple(h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (each[:4], each[4:]))
        for each in whole
    ]
    return [(each[0], each[1]) for each in seconds]


def test_s4_subtitles_begin_and_end_with_their_scenes() -> None:
    shots = (
        shot(1, 0, 3.5, narration="第一句。"),
        shot(2, 3.5, 60),
        shot(3, 60, 3661.25, narration="第三句。"),
    )
    text, _ = exported(plan(*shots), "srt")
    assert text == (
        "1\n00:00:00,000 --> 00:00:03,500\n第一句。\n\n2\n00:01:00,000 --> 01:01:01,250\n第三句。\n"
    )


def test_s4_a_long_narration_is_several_cues_that_follow_each_other() -> None:
    narration = "海边有一座很老的灯塔，老人每天傍晚点灯。" * 6
    text, _ = exported(plan(shot(1, 2, 32, narration=narration)), "srt")
    cues = times(text)
    assert len(cues) >= 3
    assert cues[0][0] == 2
    assert cues[-1][1] == 32
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in itertools.pairwise(cues))
    shown = [block.split("\n")[2] for block in text.strip().split("\n\n")]
    assert "".join(shown) == narration
    assert all(len(line) <= 40 for line in shown)


@pytest.mark.parametrize(
    "text", ["一\n\n2\n00:00:00,000 --> 00:00:09,000\n假的", "a --> b", "  \n ", "x\r\n\r\ny"]
)
def test_s4_a_narration_cannot_write_cues_of_its_own(text: str) -> None:
    written, _ = exported(plan(shot(narration=text), shot(2, 4, 8, narration="真的。")), "srt")
    assert len(times(written)) == written.count("-->") == len(written.strip().split("\n\n"))


# Markdown and Fountain


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "![x](http://y)", "# 标题", "**粗**", "`x`", "- 一", "1. 二"],
)
def test_s4_markdown_shows_a_text_as_it_is(text: str) -> None:
    written, _ = exported(plan(shot(description=text, narration=text), name=text), "md")
    assert not re.search(r"(?<!\\)<script|(?<!\\)!\[|(?<!\\)\*\*粗|(?<!\\)`x", written)
    assert [line for line in written.splitlines() if re.match(r"#+ ", line)] == [
        line for line in written.splitlines() if line.startswith("#")
    ]
    assert written.count("\n## ") == 3
    assert written.count("\n### ") == 1


def test_s4_markdown_says_the_total_and_the_characters() -> None:
    camera = {"movement": "pan", "reason": "交代环境"}
    shots = (shot(duration_s=4, shot_size="wide", camera=camera), shot(2, 4, 7, duration_s=3))
    written, _ = exported(plan(*shots), "md")
    for words in ("共 2 个镜头，7 秒", "**老人** 白胡子", "全景 · 摇 · 4 秒", "运镜：交代环境"):
        assert words in written


@pytest.mark.parametrize(
    "text", [".INT. X", "[[注]]", "/* x */", "> 居中 <", "~歌", "(轻声)", "# 幕"]
)
def test_s4_fountain_keeps_a_text_in_its_place(text: str) -> None:
    written, _ = exported(plan(shot(title=text, description=text, narration=text)), "fountain")
    lines = written.splitlines()
    assert len([line for line in lines if line.startswith(".")]) == 1
    assert written.count("[[") == written.count("]]") == 1
    assert "/*" not in written
    said = lines[lines.index("@旁白 (V.O.)") + 1]
    assert said
    assert said[0] not in "(~#"


# Over HTTP


@pytest.mark.parametrize("form", FORMATS)
async def test_s4_a_project_is_exported_in_each_format(
    serve_with: Serve, client: httpx.AsyncClient, form: str
) -> None:
    place = await project(client, serve_with(), name='灯塔/"来信"')
    assert (await client.get(f"{place}/export?format={form}")).status_code == 409
    await told(client, f"{place}/pipeline-stream/", {"model": "offline"})
    answered = await client.get(f"{place}/export/?format={form}")
    assert answered.status_code == 200
    assert "图灵" in answered.text
    disposition = answered.headers["content-disposition"]
    assert f'filename="story-{place.rpartition("/")[2]}.{form}"' in disposition
    assert "filename*=UTF-8''%E7%81%AF%E5%A1%94%2F%22" in disposition
    assert answered.headers["x-content-type-options"] == "nosniff"


async def test_s4_subtitles_of_scenes_without_a_length_go_by_what_is_spoken(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    board = {"scenes": [{"description": "一", "narration": "字" * 30}, {"description": "二"}]}
    upstream.play = [answer(TEXT), answer(json.dumps(board, ensure_ascii=False))]
    served = serve_model()
    place = await project(client, served)
    await told(client, f"{place}/rewrite-stream/")
    await told(client, f"{place}/storyboard-stream/")
    text = (await client.get(f"{place}/export?format=srt")).text
    assert times(text) == [(0, 6)]
    shots = (await client.get(f"{place}/export?format=csv")).text
    assert [row[7:9] for row in cells(shots)[1:]] == [["0", "6"], ["6", "3"]]


async def test_s4_an_unknown_format_or_project_is_refused(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    place = await project(client, shared_server)
    assert (await client.get(f"{place}/export?format=pdf")).status_code == 422
    missing = f"{shared_server.url}/api/v1/projects/999999/export?format=md"
    assert (await client.get(missing)).status_code == 404
