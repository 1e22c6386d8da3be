"""Pictures of figures, as SVG: bars and lines, readable on light and on dark ground.

What is shown is for page.py to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Row = tuple[str, float, str]
"""A name, a value, and the value as it is to be read."""

WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 720, 120, 110, 18, 8, 34
# It brings its ground along: a page may be dark where the reader's system is light, or the other
# way round.
STYLE = """\
  <style>
    .ground { fill: #ffffff; }
    text { font: 13px system-ui, sans-serif; fill: #1f2937; }
    .title { font-weight: 600; }
    .value { fill: #4b5563; }
    .bar { fill: #9ca3af; }
    .ours { fill: #2563eb; }
    .line { stroke: #9ca3af; stroke-width: 2; fill: none; }
    .ours-line { stroke: #2563eb; stroke-width: 3; fill: none; }
    .axis { stroke: #d1d5db; fill: none; }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #16181d; }
      text { fill: #e5e7eb; }
      .value { fill: #c3c8d0; }
      .bar { fill: #6b7280; }
      .ours { fill: #60a5fa; }
      .line { stroke: #6b7280; }
      .ours-line { stroke: #60a5fa; }
      .axis { stroke: #374151; }
    }
  </style>
"""


def bars(panels: Sequence[tuple[str, Sequence[Row]]], ours: str, log: bool) -> str:
    """Return panels of bars, one below the other, each in the order given.

    :param ours: the name whose bar stands out.
    :param log: whether a step to the right is a multiple and not a sum.
    """
    parts, top = [], 10.0
    for title, rows in panels:
        parts.append(f'  <text class="title" x="12" y="{top + 18:.0f}">{escape(title)}</text>\n')
        top += HEAD
        lengths = _lengths([value for _, value, _ in rows], log)
        for (name, _, shown), length in zip(rows, lengths, strict=True):
            kind = "bar ours" if name == ours else "bar"
            middle = top + BAR - 5
            parts += [
                f'  <text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">',
                f"{escape(name)}</text>\n",
                f'  <rect class="{kind}" x="{LEFT}" y="{top:.0f}" width="{length:.1f}" '
                f'height="{BAR}" rx="2"/>\n',
                f'  <text class="value" x="{LEFT + length + 6:.1f}" y="{middle:.0f}">'
                f"{escape(shown)}</text>\n",
            ]
            top += BAR + GAP
        top += GAP
    return _picture(parts, top, "; ".join(title for title, _ in panels))


def _lengths(values: Sequence[float], log: bool) -> list[float]:
    room = WIDTH - LEFT - RIGHT
    if not log:
        return [room * value / max(values) for value in values]
    # The shortest bar is to be seen, too: it stands for half the least value and what is beyond.
    least = min(values) / 2
    span = math.log(max(values) / least)
    return [room * math.log(value / least) / span for value in values]


def lines(title: str, series: Mapping[str, Mapping[int, float]], ours: str) -> str:
    """Return lines over few numbers, with their names at the end; upwards, steps are multiples."""
    top, bottom, right = HEAD + 16, 360, WIDTH - RIGHT
    numbers = sorted({number for line in series.values() for number in line})
    values = [value for line in series.values() for value in line.values()]
    low, high = math.log(min(values)), math.log(max(values))

    def y(value: float) -> float:
        return bottom - (bottom - top) * (math.log(value) - low) / (high - low)

    def x(number: int) -> float:
        return LEFT - 40 + (right - LEFT + 40) * numbers.index(number) / (len(numbers) - 1)

    parts = [f'  <text class="title" x="12" y="28">{escape(title)}</text>\n']
    for power in range(math.ceil(low / math.log(10)), int(high / math.log(10)) + 1):
        at = y(10.0**power)
        parts.append(f'  <path class="axis" d="M{LEFT - 40} {at:.0f}H{right}"/>\n')
        parts.append(f'  <text class="value" x="{LEFT - 48}" y="{at + 4:.0f}" text-anchor="end">')
        parts.append(
            f"{10**power // 10**6:,} M</text>\n" if power >= 6 else f"{10**power:,}</text>\n"
        )
    for number in numbers:
        parts.append(f'  <text x="{x(number):.0f}" y="{bottom + 24}" text-anchor="middle">')
        parts.append(f"{number}</text>\n")
    taken: list[float] = []
    for name, line in sorted(series.items(), key=lambda one: -list(one[1].values())[-1]):
        kind = "ours-line" if name == ours else "line"
        points = [f"{x(number):.0f} {y(value):.1f}" for number, value in sorted(line.items())]
        parts.append(f'  <path class="{kind}" d="M{"L".join(points)}"/>\n')
        # From the top down, and none on another.
        at = y(line[max(line)]) + 4
        at = max(at, taken[-1] + 15) if taken else at
        taken.append(at)
        parts.append(f'  <text x="{right + 8}" y="{at:.0f}">{escape(name)}</text>\n')
    return _picture(parts, max(bottom + 40, taken[-1] + 14), title)


def _picture(parts: Sequence[str], height: float, label: str) -> str:
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'role="img" aria-label="{escape(label)}">\n',
            STYLE,
            f'  <rect class="ground" width="{WIDTH}" height="{height:.0f}" rx="8"/>\n',
            *parts,
            "</svg>\n",
        ]
    )
