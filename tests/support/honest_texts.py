"""Texts that repeat themselves as honest texts do: in rows, rules, refrains, drawings and codes."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]

PIECE = 3000
"""Characters of a piece of a file: a long answer."""

SUFFIXES = {".md", ".py", ".ts", ".tsx", ".css", ".html", ".yaml", ".toml", ".json", ".svg"}
FOLDERS = ("docs", "src", "console/src", "clients", "examples", "bench")

WORDS = [
    *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world"),
    *("school", "state", "family", "student", "group", "country", "problem", "hand", "part"),
    *("place", "case", "week", "company", "system", "program", "question", "work", "night"),
]
HAN = "今天推荐这款运动鞋舒适的设计真很赞鞋底柔软适合跑步春风又绿江南岸明月何时照我还一二三四五"


def files() -> Iterator[str]:
    """The project's own documents and sources, cut in pieces."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and not {"node_modules", "_console"} & set(path.parts):
                text = path.read_text(encoding="utf-8")
                for start in range(0, len(text), PIECE):
                    yield text[start : start + PIECE]


def sentence(rng: Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(4, 14))).capitalize() + rng.choice(".!?")


def prose(rng: Random) -> str:
    return " ".join(sentence(rng) for _ in range(40))


def chinese(rng: Random) -> str:
    return "".join("".join(rng.choices(HAN, k=rng.randint(4, 12))) + "，" for _ in range(120))


def song(rng: Random) -> str:
    """Verses with a refrain, whose last line is sung three times."""
    refrain = "\n".join(sentence(rng) for _ in range(3)) + "\n" + (sentence(rng) + "\n") * 3
    verses = ("\n".join(sentence(rng) for _ in range(4)) for _ in range(6))
    return "\n\n".join(f"{verse}\n\n{refrain}" for verse in verses)


def laughter(rng: Random) -> str:
    laugh = rng.choice(["ha", "哈", "haha ", "lol ", "呵", "w"])
    return sentence(rng) + " " + laugh * (rng.randint(10, 80) // len(laugh)) + " " + prose(rng)


def table(rng: Random) -> str:
    """A table whose cells are often equal, below a rule as wide as its widest cell."""
    width, cells = rng.choice([3, 8, 30, 120]), rng.choice([["yes", "no"], ["0"], ["n/a"], ["✓"]])
    columns = rng.randint(2, 6)
    rule = "|" + ("-" * (width + 2) + "|") * columns
    rows = (
        f"| {word.ljust(width)} | "
        + " | ".join(rng.choice(cells).ljust(width) for _ in range(columns - 1))
        + " |\n"
        for word in rng.sample(WORDS, 12)
    )
    return f"{sentence(rng)}\n\n{rule}\n{''.join(rows)}"


def products(rng: Random) -> str:
    """A multiplication table, as lines or as sums."""
    most = rng.randint(9, 20)
    if rng.random() < 0.5:
        numbers = range(1, most)
        return "\n".join("\t".join(str(a * b) for b in numbers) for a in numbers)
    return "\n".join(f"{a} × {b} = {a * b}" for a in range(1, most) for b in range(1, most))


def matrix(rng: Random) -> str:
    size = rng.randint(4, 20)
    cell = rng.choice(["0", "0", ".", "1.0"])
    rows = [[cell] * size for _ in range(size)]
    rows[rng.randrange(size)][rng.randrange(size)] = "7"
    return "\n".join(" ".join(row) for row in rows)


def board(rng: Random) -> str:
    size = rng.randint(4, 10)
    row = "[" + ", ".join([rng.choice(["False", "None", "'.'", "null"])] * size) + "],\n"
    return f"```python\nboard = [\n{('    ' + row) * size}]\n```\n{prose(rng)}"


def markup(rng: Random) -> str:
    card = f'<div class="card"><h3>{sentence(rng)}</h3><p>Lorem ipsum dolor sit amet.</p></div>\n'
    cell = "<tr><td>0</td><td>0</td></tr>\n"
    return "<main>\n" + card * rng.randint(2, 8) + cell * rng.randint(2, 20) + "</main>\n"


def document(rng: Random) -> str:
    rows = [{"id": n, "ok": True, "tags": [], "score": 0} for n in range(30)]
    zeros = {"points": [{"x": 0, "y": 0}] * rng.randint(2, 25), "name": rng.choice(WORDS)}
    return json.dumps([*rows, zeros], indent=rng.choice([None, 1, 4]))


def log(rng: Random) -> str:
    """A log with clocks, in which one line comes again and again."""
    line = sentence(rng)
    times = (f"2026-11-{n // 24 + 1:02} {n % 24:02}:{rng.randint(0, 59):02}" for n in range(60))
    return "\n".join(f"{at}:00 INFO worker-{n % 4}: {line}" for n, at in enumerate(times))


def bare_log(rng: Random) -> str:
    line = f"WARN {sentence(rng)}\n"
    return "The log says:\n```\n" + line * rng.randint(2, 12) + "```\n" + prose(rng)


def drawing(rng: Random) -> str:
    """Boxes and slopes in ASCII."""
    width = rng.randint(10, 150)
    fill = rng.choice([" ", ".", "#", "~", "░"])
    rows = [("+" + "-" * width + "+"), *(["|" + fill * width + "|"] * rng.randint(1, 5))]
    slope = [" " * n + "\\" + "_" * (40 - n) for n in range(40)]
    return "\n".join([*rows, rows[0], *slope])


def rules(rng: Random) -> str:
    """Sections between rules."""
    rule = rng.choice("-=*_~#─━") * rng.randint(3, 300)
    return "\n\n".join(f"{rule}\n{sentence(rng)}" for _ in range(8))


def encoded(rng: Random) -> str:
    """Base64 of a file with empty stretches, as small pictures have."""
    raw = rng.randbytes(200) + bytes(rng.randint(20, 600)) + rng.randbytes(300)
    return "data:image/x-icon;base64," + base64.b64encode(raw).decode()


def dump(rng: Random) -> str:
    raw = rng.randbytes(100) + bytes(rng.randint(16, 300)) + rng.randbytes(60)
    return rng.choice([raw.hex(" "), raw.hex(), ", ".join(f"0x{byte:02x}" for byte in raw)])


def dna(rng: Random) -> str:
    letters = "".join(rng.choices("ACGT", k=1500))
    return letters + "CAG" * rng.randint(5, 40) + letters[:400] + "A" * rng.randint(20, 120)


def numbered(rng: Random) -> str:
    """A list whose items begin alike."""
    start = " ".join(rng.choices(WORDS, k=3))
    return "\n".join(f"{n}. {start} {sentence(rng)}" for n in range(1, 41))


def form(rng: Random) -> str:
    names = rng.sample(WORDS, 8)
    return "\n".join(f"{n}. {name.capitalize()}: {'_' * 40}" for n, name in enumerate(names, 1))


def answers(rng: Random) -> str:
    """The key to a test: most answers are the same."""
    right = rng.choice(["True", "A", "yes"])
    return "\n".join(f"{n}. {right}" for n in range(1, rng.randint(20, 90)))


def counting(rng: Random) -> str:
    start = rng.randint(0, 500)
    return rng.choice([", ", "\n", " "]).join(map(str, range(start, start + 400)))


def csv(rng: Random) -> str:
    day = rng.randint(1, 28)
    return "day,shop,sold\n" + "".join(
        f"2026-11-{day},{n},{rng.randint(0, 3)}\n" for n in range(99)
    )


def code(rng: Random) -> str:
    names = rng.sample(string.ascii_lowercase, 20)
    return "\n\n".join(
        f"def get_{name}(self) -> int:\n    if self._{name} is None:\n        raise KeyError\n"
        f"    return self._{name}"
        for name in names
    )


def asides(rng: Random) -> str:
    """Dots, spaces and empty lines, as thrifty typographers use them."""
    names = (rng.choice(WORDS) for _ in range(30))
    return "\n\n\n".join(
        f"{name} {'.' * rng.randint(20, 90)} {rng.randint(1, 99)}" for name in names
    )


KINDS: tuple[Callable[[Random], str], ...] = (
    prose, chinese, song, laughter, table, products, matrix, board, markup, document, log, bare_log,
    drawing, rules, encoded, dump, dna, numbered, form, answers, counting, csv, code, asides,
)  # fmt: skip


def honest_texts(count: int, seed: int = 13) -> Iterator[tuple[str, str]]:
    """Yield `count` texts and their kinds: all of the project's own, the rest made up."""
    rng = Random(seed)
    own = list(files())
    yield from (("a file of ours", text) for text in own[:count])
    for number in range(count - len(own)):
        kind = KINDS[number % len(KINDS)]
        yield kind.__name__, kind(rng)
