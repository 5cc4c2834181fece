"""
The pictures of a result. Drawn after the load, never while it runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from .load import Load

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .passes import Summary

_POINTS = 400
"""Points of a distribution; more than the eye can tell apart."""


def streams(path: Path, found: "list[Summary]", wanted: Load) -> Path:
    """CPU per token as bars, added latency as the share of tokens below it."""
    # Importing it takes a second and 50 MB: not in the process while it measures.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (costs, delays) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    _draw_costs(costs, found)
    _draw_delays(delays, found)
    pace = f"{wanted.per_s:g} tokens/s each" if wanted.per_s else "unpaced"
    figure.suptitle(f"{wanted.streams} streams, {pace}, {wanted.tokens} tokens each")
    figure.savefig(path, dpi=140)
    plt.close(figure)
    return path


def _draw_costs(axes: "Axes", found: "list[Summary]") -> None:
    for number, one in enumerate(found):
        cost_us = one.median("cpu_us_per_token")
        if cost_us is None:
            continue  # nothing stands in between, or it did not start
        bars = axes.bar(one.system, cost_us, color=f"C{number}")
        axes.bar_label(bars, fmt="%.1f")
    axes.set_ylabel("CPU per token, µs")
    axes.set_title("Cost of a token (less is better)")
    axes.grid(axis="y", alpha=0.3)


def _draw_delays(axes: "Axes", found: "list[Summary]") -> None:
    for number, one in enumerate(found):
        delays_ms = one.pooled("latency_ms")
        if not delays_ms:
            continue
        last = len(delays_ms) - 1
        places = [last * point // _POINTS for point in range(_POINTS + 1)]
        shares = [place / last if last else 1.0 for place in places]
        axes.plot([delays_ms[p] for p in places], shares, color=f"C{number}", label=one.system)
    axes.set_xscale("log")
    axes.set_xlabel("added latency, ms")
    axes.set_ylabel("share of tokens not later")
    axes.set_title("Model's write to viewer's read (left is better)")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(loc="lower right")
