"""
Text for a terminal.

Text of models, servers and files is hostile: an escape sequence in it could clear the screen,
rename the window or forge a line.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""C0 but tab and newline, DEL, and C1, in which terminals find escape sequences too."""

_RAW_IN_JSON: Final = re.compile(r"[\x7f-\x9f]")
"""Controls that JSON allows to stand in strings as they are."""


def clean(text: str) -> str:
    """Return the text without control characters."""
    return _CONTROLS.sub("", text)


def json_line(value: Any) -> str:
    """Return a JSON document as one line that is safe to print."""
    return clean_json(json.dumps(value, ensure_ascii=False, default=str))


def clean_json(line: str) -> str:
    """Return a line that is JSON already with its control characters escaped."""
    return _RAW_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
