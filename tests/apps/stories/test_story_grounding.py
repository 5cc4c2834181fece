"""A storyboard is held against its text, and a camera against its scene; honest ones pass."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from unspool.apps.stories.grounding import check_camera, check_characters, check_storyboard
from unspool.apps.stories.prompts import stage_prompt
from unspool.apps.stories.readers import Cameras, Elements, Findings, Scenes, findings_in
from unspool.apps.stories.request import Story
from unspool.providers.offline_model.answers import answer_to

LONG = (
    "很久以前，海边有一座灯塔。守塔的老人每天傍晚点亮灯火。有一年冬天，风暴来得特别早。"
    "一条小船在浪里迷了路，看不见岸。老人把灯擦了一遍又一遍，整夜没有合眼。"
    "天亮的时候，小船靠了岸，船上的孩子向他挥手。"
)


def scene(narration: str = "", **more: Any) -> dict[str, Any]:
    plain = {"number": 1, "title": "", "description": "画面", "characters": [], "duration_s": 5.0}
    return {**plain, "narration": narration, **more}


def kinds(findings: list[Any]) -> list[str]:
    return [finding.kind for finding in findings]


def read(said: Any, text: str = "一段文字。", wish: str = "") -> tuple[Elements, list[str]]:
    written = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    readers: list[Elements] = []

    def reader(ctx: Any) -> Elements:
        readers.append(Scenes(ctx, "storyboard", text, wish))
        return readers[-1]

    found = findings_in(written, reader)
    return readers[-1], [one["kind"] for one in found]


# What a storyboard leaves out


def test_s4_a_storyboard_of_one_scene_for_a_long_text_is_a_finding() -> None:
    found = check_storyboard(LONG, "", [scene("很久以前，海边有一座灯塔。")])
    assert "single" in kinds(found)
    assert kinds(found).count("coverage") >= 4
    assert any("小船" in finding.quote for finding in found)


def test_s4_a_text_of_a_sentence_or_two_may_be_one_scene() -> None:
    assert (
        check_storyboard("雨一下，书店的灯就亮了。", "", [scene("雨一下，书店的灯就亮了。")]) == []
    )


def test_s4_scenes_that_tell_of_something_else_do_not_cover_the_text() -> None:
    board = [scene("今天教大家做红烧肉。"), scene("先把锅烧热，再放冰糖。")]
    assert kinds(check_storyboard(LONG, "", board)).count("coverage") >= 5


def test_s4_a_remark_in_brackets_is_nothing_that_scenes_must_tell() -> None:
    text = "雨一下，书店的灯就亮了。\n\n（这是一个示例，没有添加事实，谢谢观看。）"
    assert check_storyboard(text, "", [scene("雨一下，书店的灯就亮了。")]) == []


def test_s4_one_narration_in_scene_after_scene_is_a_finding_and_a_refrain_is_none() -> None:
    text = "雨一下，书店的灯就亮了。"
    refrain = [scene(text), scene("门外有人。"), scene(text)]
    assert kinds(check_storyboard(text, "", refrain)) == []
    assert kinds(check_storyboard(text, "", [*refrain, scene(text)])) == ["loop"]


# Fields


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("duration_s", 9999, "range"),
        ("duration_s", -3, "range"),
        ("duration_s", 0, "range"),
        ("duration_s", 1e300, "range"),
        ("duration_s", "很久", "form"),
        ("duration_s", True, "form"),
        ("duration_s", [5], "form"),
        ("number", -1, "range"),
        ("number", 5000, "range"),
        ("number", "x", "form"),
        ("title", 7, "range"),
        ("title", "长" * 201, "form"),
        ("narration", ["一", "二"], "form"),
        ("characters", 3, "range"),
        ("characters", [{"look": "高"}], "form"),
        ("shot_size", "teleport", "shot_size"),
        ("shot_size", {}, "form"),
    ],
)
def test_d2_a_field_out_of_range_costs_that_field_and_never_the_scene(
    field: str, value: Any, kind: str
) -> None:
    plain = {"number": 1, "title": "题", "description": "画面", "duration_s": 4}
    reader, found = read({"scenes": [{**plain, field: value}]})
    (kept,) = reader.items
    assert found == [kind]
    assert kept["description"] == "画面"
    assert kept.get(field) != value
    rest = {name: kept[name] for name in plain if name != field}
    assert rest == {name: plain[name] for name in plain if name != field}


@pytest.mark.parametrize(
    ("said", "seconds"), [("5秒", 5), ("5 s", 5), ("约8秒", 8), ("6", 6), (2.5, 2.5), ("十秒", 10)]
)
def test_s4_a_length_in_words_is_read(said: Any, seconds: float) -> None:
    reader, found = read({"scenes": [{"description": "一", "duration_s": said}]})
    assert (reader.items[0]["duration_s"], found) == (seconds, [])


def test_s4_an_old_answer_without_the_new_fields_is_the_same_scene_as_ever() -> None:
    reader, found = read('{"scenes": [{"number": 1, "description": "一"}]}')
    wanted = {"number": 1, "title": "", "description": "一", "narration": "", "characters": []}
    assert reader.items == [{**wanted, "duration_s": None}]
    assert found == []


# Length


@pytest.mark.parametrize(
    ("wish", "total", "is_off"),
    [
        ("总长30秒", 31, False),
        ("总长30秒", 90, True),
        ("30 seconds please", 10, True),
        ("做成一分钟的片子", 58, False),
        ("做成一分钟的片子", 20, True),
        ("一分半左右", 92, False),
        ("半分钟", 29, False),
        ("不超过60秒", 20, False),
        ("不超过60秒", 75, True),
        ("60秒以内", 61, True),
        ("至少两分钟", 300, False),
        ("至少两分钟", 100, True),
        ("每个镜头5秒", 60, False),
        ("5 s each", 60, False),
        ("前3秒要抓人", 60, False),
        ("写得口语一些", 60, False),
        ("分成三个部分", 600, False),
        ("under 1 minute", 70, True),
    ],
)
def test_s4_the_total_length_is_held_against_the_wish(wish: str, total: int, is_off: bool) -> None:
    found = check_storyboard("短文。", wish, [scene(duration_s=total / 2)] * 2)
    assert kinds(found) == (["length"] if is_off else [])


def test_s4_a_total_that_is_not_known_is_held_against_nothing() -> None:
    assert check_storyboard("短文。", "30秒", [scene(), scene(duration_s=None)]) == []


# Characters

CAST = [{"name": "守塔老人", "look": ""}, {"name": "Anna", "look": ""}]


@pytest.mark.parametrize(
    "name", ["守塔老人", "老人", "守塔老人（背影）", "anna", "路人", "人群", "无"]
)
def test_s4_a_listed_character_and_a_crowd_are_no_findings(name: str) -> None:
    assert list(check_characters(scene(characters=[name]), CAST)) == []


def test_s4_a_character_that_is_in_no_list_is_a_finding_beside_its_scene() -> None:
    said = {
        "characters": [{"name": "老人", "look": "白胡子"}],
        "scenes": [
            {"description": "灯塔", "characters": ["老人"]},
            {"description": "小船", "characters": ["船长"]},
        ],
    }
    kept = Findings()
    reader = Scenes(kept, "storyboard", "短文。", "")
    reader.feed(json.dumps(said, ensure_ascii=False))
    reader.end()
    assert reader.characters == [{"name": "老人", "look": "白胡子"}]
    (one,) = kept.listed
    assert (one["kind"], one["quote"], one["scene"]) == ("character", "船长", 2)


def test_s4_without_a_list_of_characters_none_is_missing_from_it() -> None:
    assert list(check_characters(scene(characters=["船长"]), [])) == []


# Cameras


def move(movement: str, reason: str = "", **more: Any) -> dict[str, Any]:
    return {"scene": 1, "movement": movement, "reason": reason, **more}


@pytest.mark.parametrize(
    ("camera", "size"),
    [
        (move("push", "从大特写推到全景"), "wide"),
        (move("push", "push in from extreme close-up to wide shot"), None),
        (move("push", "从特写推到特写"), None),
        (move("pull", "从全景拉到特写"), None),
        (move("pull", "pull back from wide shot to close-up"), None),
        (move("push"), "extreme_close_up"),
        (move("crane"), "extreme_close_up"),
        (move("static", "跟着人物走"), "medium"),
        (move("static", "镜头慢慢推近他的脸"), "medium"),
        (move("static", "the camera follows her"), None),
    ],
)
def test_s4_a_camera_that_contradicts_its_reason_or_its_shot_is_a_finding(
    camera: dict[str, Any], size: str | None
) -> None:
    assert kinds(list(check_camera(camera, scene(shot_size=size)))) == ["camera"]


@pytest.mark.parametrize(
    ("camera", "size"),
    [
        (move("push", "从全景推到近景，看清他的脸"), "wide"),
        (move("push", "push in from wide shot to close-up"), "close_up"),
        (move("pull", "从特写拉到全景"), "close_up"),
        (move("static", "不推不拉，让话落地"), "close_up"),
        (move("static", "固定机位，不跟随人物"), "wide"),
        (move("static", "没有跟拍，只是看着"), "wide"),
        (move("follow", "跟着人物走"), "medium"),
        (move("pan", "从左到右扫过街道"), "extreme_wide"),
        (move("pull", "从他的手拉到整个房间"), "wide"),
        (move("static", "from morning to night"), "extreme_wide"),
        (move("push", "缓慢推近"), "close_up"),
    ],
)
def test_s4_a_camera_that_agrees_is_left_alone(camera: dict[str, Any], size: str | None) -> None:
    assert list(check_camera(camera, scene(shot_size=size))) == []


def test_s4_a_camera_for_a_scene_that_does_not_exist_or_a_second_one_is_not_stored() -> None:
    kept = Findings()
    reader = Cameras(kept, "camera", [scene(), scene(number=2)])
    reader.feed(json.dumps({"cameras": [move("push"), move("pull"), {**move("pan"), "scene": 9}]}))
    reader.end()
    assert [(item["scene"], item["movement"]) for item in reader.items] == [(1, "push")]
    assert [one["kind"] for one in kept.listed] == ["double", "scene"]


# Honest answers

PLACES = ["海边", "山顶", "老城", "地铁站", "图书馆", "菜市场", "小学", "车间", "医院", "球场"]
PEOPLE = ["小林", "外婆", "老师", "快递员", "医生", "邻居", "船长", "店主", "同桌", "司机"]
DEEDS = ["等一封信", "修一把椅子", "学会游泳", "找一只猫", "种一棵树", "开一家店", "做一顿晚饭"]


def honest_text(rng: Random) -> str:
    who, where, deed = rng.choice(PEOPLE), rng.choice(PLACES), rng.choice(DEEDS)
    lines = [
        f"{who}在{where}{deed}。",
        f"那一天{where}下着小雨，街上没有几个人。",
        f"{who}想起小时候也做过同样的事！",
        "时间过得很慢，茶凉了又添，添了又凉。",
        f"后来有人问：为什么偏要在{where}呢？",
        f"{who}笑了笑，没有回答，只是把手里的事做完。",
        "天黑的时候，灯一盏一盏亮了起来。",
    ]
    return "".join(rng.sample(lines, rng.randrange(3, 8)))


def honest_board(text: str, rng: Random) -> list[dict[str, Any]]:
    """Cut a text into scenes, and say some of it in slightly other words."""
    parts = [
        part + "。" for part in text.replace("！", "。").replace("？", "。").split("。") if part
    ]
    size = rng.choice((1, 1, 2))
    groups = ["".join(parts[at : at + size]) for at in range(0, len(parts), size)]
    swaps = {"想起": "回忆起", "没有几个人": "人很少", "一盏一盏": "一盏接一盏", "笑了笑": "笑着"}
    for old, new in swaps.items():
        if rng.random() < 0.5:
            groups = [group.replace(old, new) for group in groups]
    return [scene(group, number=n, duration_s=None) for n, group in enumerate(groups, start=1)]


def test_s4_of_hundreds_of_honest_storyboards_fewer_than_2_percent_have_a_finding() -> None:
    rng = Random(4)
    alarms = 0
    for _ in range(300):
        text = honest_text(rng)
        board = honest_board(text, rng)
        is_short = len(board) == 1
        alarms += bool(check_storyboard(text, "", board)) and not is_short
    assert alarms <= 300 * 0.02


def test_s4_what_the_built_in_model_writes_of_a_hundred_topics_has_no_finding() -> None:
    rng = Random(7)
    topics = ["介绍AI技术的发展历程", "The history of AI", "A bookshop that opens in the rain"]
    topics += [f"{a}的{b}{c}" for a, b, c in zip(PLACES * 4, PEOPLE * 4, DEEDS * 5, strict=False)]
    topics += [honest_text(rng) for _ in range(70)]
    alarms = [topic for topic in topics if _written(topic)]
    assert len(topics) > 100
    assert alarms == []


def _written(topic: str) -> list[Any]:
    """Return the findings of all that the built-in model makes of a topic."""
    request = Story(project_id=1, original_text=topic)

    def ask(kind: Any, given: Any) -> str:
        return answer_to([{"role": "user", "content": stage_prompt(request, kind, given)}])

    text = ask("rewrite", topic)
    reader, found = read(ask("storyboard", text), text)
    moves: list[Any] = findings_in(
        ask("camera", reader.items), lambda ctx: Cameras(ctx, "camera", reader.items)
    )
    return [*found, *moves]
