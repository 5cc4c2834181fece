"""The words of a film set, as models in both languages say them."""

from __future__ import annotations

import pytest

from unspool.apps.stories.film import MOVEMENTS, SHOT_SIZES, movement_named, shot_named, shots_in

SAID = {
    "push": "推|推镜头|推进|慢推|缓慢推近|前推|拉近|镜头拉近|Push In|push-in|push_in|slow push|"
    "Dolly In|dolly-in|track in|move in|camera moves closer",
    "pull": "拉|拉镜头|拉远|后拉|推远|Pull Out|pull back|Dolly Out|dolly back|track out",
    "pan": "摇|摇镜头|横摇|上摇|甩镜|Pan|pan-left|Panning|tilt up|whip pan|Tilt",
    "truck": "移|移镜头|横移|平移|Truck|truck left|track left|Lateral|slide|dolly left|slider shot",
    "follow": "跟|跟拍|跟随|跟镜头|追拍|Follow|tracking shot|Tracking|steadicam|following",
    "static": "固定|固定镜头|静止|定机位|不动|Static|fixed|locked|lock-off|no movement|still",
    "crane": "升降|上升|下降|摇臂|Crane|crane-up|boom down|Jib|pedestal up",
    "orbit": "环绕|绕|旋转|Orbit|arc|circling|360|revolve",
    "zoom": "变焦|推拉变焦|Zoom|zoom-in|dolly zoom|zooms out",
}
UNKNOWN = ["teleport", "慢动作", "expand", "蒙太奇", "", "   ", "spanish", "?!", "叠化"]

SIZES = {
    "extreme_wide": "远景|大远景|extreme-wide|extreme long shot|Establishing Shot|航拍",
    "wide": "全景|大全景|全身|wide|Wide Shot|long shot|full shot",
    "medium": "中景|半身|medium|Medium Shot|mid-shot|over-the-shoulder",
    "medium_close": "近景|中近景|medium close-up|MCU|medium_close",
    "close_up": "特写|close-up|Close Up|closeup|CU",
    "extreme_close_up": "大特写|extreme close-up|ECU|Extreme_Close_Up|微距",
}


def pairs(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(word, name) for name, words in table.items() for word in words.split("|")]


@pytest.mark.parametrize(("said", "name"), pairs(SAID))
def test_d10_movements_of_both_languages_are_the_movement_that_they_mean(
    said: str, name: str
) -> None:
    assert movement_named(said) == name
    assert movement_named(f" {said.upper()} ") == name


@pytest.mark.parametrize("said", UNKNOWN)
def test_d10_a_word_that_is_no_movement_is_none(said: str) -> None:
    assert movement_named(said) is None


@pytest.mark.parametrize(("said", "name"), pairs(SIZES))
def test_s4_shot_sizes_of_both_languages_are_the_size_that_they_mean(said: str, name: str) -> None:
    assert shot_named(said) == name


def test_s4_each_name_and_its_own_chinese_term_are_known() -> None:
    assert {name: movement_named(word) for name, word in MOVEMENTS.items()} == dict(
        zip(MOVEMENTS, MOVEMENTS, strict=True)
    )
    assert all(movement_named(name) == name for name in MOVEMENTS)
    assert all(shot_named(word) == name == shot_named(name) for name, word in SHOT_SIZES.items())
    assert shots_in("从大特写拉到全景") == ["extreme_close_up", "wide"]
