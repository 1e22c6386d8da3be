"""Lines over a logarithmic axis, as SVG: shares from 0 to 100 %, drawn with the page's own colours.

What is drawn is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

__all__ = ["Line", "plot"]

_WIDE, _HIGH = 360, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 10, 24


class Line(NamedTuple):
    """Points (x, share), and the class by which the page's style draws them."""

    style: str
    points: Sequence[tuple[float, float]]


def plot(
    lines: Sequence[Line],
    ticks: Sequence[tuple[float, str]],
    title: str,
    band: Sequence[tuple[float, float, float]] | None = None,
    mark: float | None = None,
) -> str:
    """Return a picture of the lines, which all have points at the same places.

    :param ticks: places on the axis, and what is written there.
    :param band: (x, lowest, highest) of a band around the line.
    :param mark: a place to mark by a line from top to bottom.
    """
    least, most = lines[0].points[0][0], lines[0].points[-1][0]

    def across(x: float) -> float:
        part = math.log(x / least) / math.log(most / least) if most > least else 0.5
        return round(_LEFT + part * (_WIDE - _LEFT - _RIGHT), 1)

    def down(share: float) -> float:
        return round(_TOP + (1.0 - share) * (_HIGH - _TOP - _BOTTOM), 1)

    said = escape(title)
    parts = [f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{said}">']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = down(share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    for x, label in ticks:
        if least <= x <= most:
            at = across(x)
            parts.append(
                f'<text x="{at}" y="{_HIGH - 6}" text-anchor="middle">{escape(label)}</text>'
            )
    if mark is not None and least <= mark <= most:
        at = across(mark)
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HIGH - _BOTTOM}"/>')
    if band is not None:
        there = [f"{across(x)},{down(high)}" for x, _, high in band]
        back = [f"{across(x)},{down(low)}" for x, low, _ in reversed(band)]
        parts.append(f'<polygon class="band" points="{" ".join(there + back)}"/>')
    for line in lines:
        points = " ".join(f"{across(x)},{down(share)}" for x, share in line.points)
        parts.append(f'<polyline class="{line.style}" points="{points}"/>')
    return "".join(parts) + "</svg>"
