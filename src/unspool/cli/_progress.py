"""A progress bar for long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._console import stderr

Show = Callable[[float, str], object]
"""Shows a share between 0 and 1, and some words."""


@contextmanager
def bar(name: str) -> Iterator[Show]:
    """Show a bar if stderr is a terminal."""
    console = stderr()
    if not console.is_terminal:
        yield lambda _share, _words: None
        return
    from rich.markup import escape  # only here
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn(escape(name)),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(name, total=1.0, words="")
        yield lambda share, words: shown.update(task, completed=share, words=escape(words))
