# SPDX-License-Identifier: Apache-2.0
"""results.svg: the drawn metrics as bars, readable on light and on dark."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from metrics import METRICS, OURS, Metric, Run, median

COLUMNS, PANEL_W, GAP, MARGIN = 2, 440, 28, 20
TITLE_H, BAR_H, BAR_STEP, LABEL_W, VALUE_W = 24, 13, 19, 68, 64

STYLE = """
  svg { font: 12px system-ui, sans-serif }
  .back { fill: #ffffff } text { fill: #1f2328 } .dim { fill: #59636e }
  .title { font-weight: 600 } .pass { fill: #1a7f37 } .fail { fill: #d1242f }
  .bar { fill: #afb8c1 } .ours { fill: #0969da } .spread, .limit { stroke: #1f2328; fill: none }
  .limit { stroke: #d1242f; stroke-dasharray: 3 2 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .dim { fill: #9198a1 }
    .pass { fill: #3fb950 } .fail { fill: #f85149 }
    .bar { fill: #57606a } .ours { fill: #4493f8 } .spread { stroke: #e6edf3 }
    .limit { stroke: #f85149 }
  }
"""


def limit_of(run: Run, metric: Metric) -> float | None:
    """The target as a value on the metric's own scale."""
    if metric.peer is not None and (judge := run.better(metric)):
        return metric.peer * median(run.samples(metric, judge))
    if metric.itself is not None:
        other = next(m for m in METRICS if (m.row, m.key) == (metric.row, metric.itself[0]))
        samples = run.samples(other, OURS)
        return metric.itself[1] * median(samples) if samples else None
    return metric.most if metric.most is not None else metric.least


def panel(run: Run, metric: Metric, x: float, y: float) -> Iterator[str]:
    """One metric: its title, a bar for each relay with the spread as a line, the target dashed."""
    verdict = run.verdict(metric)
    mark = f' <tspan class="{verdict.lower()}">{verdict}</tspan>' if verdict else ""
    yield (f'<text class="title" x="{x}" y="{y + 13}">{escape(metric.text)}'
           f' <tspan class="dim">({metric.row})</tspan>{mark}</text>')
    limit = limit_of(run, metric)
    every = [value for peer in run.peers for value in run.samples(metric, peer)]
    top = max([*every, limit or 0.0, 1e-9])
    left, wide = x + LABEL_W, PANEL_W - LABEL_W - VALUE_W

    def at(value: float) -> float:
        return left + wide * max(0.0, value) / top

    for place, peer in enumerate(run.peers):
        line = y + TITLE_H + place * BAR_STEP
        values = run.samples(metric, peer)
        yield f'<text x="{left - 6}" y="{line + 11}" text-anchor="end">{escape(peer)}</text>'
        if not values:
            yield f'<text class="dim" x="{left + 4}" y="{line + 11}">failed or not measured</text>'
            continue
        middle, half = median(values), line + BAR_H / 2
        yield (f'<rect class="{"ours" if peer == OURS else "bar"}" x="{left}" y="{line}"'
               f' width="{at(middle) - left:.1f}" height="{BAR_H}" rx="2"/>')
        yield (f'<path class="spread" d="M{at(min(values)):.1f} {half}'
               f'H{at(max(values)):.1f}"/>')
        yield (f'<text class="dim" x="{left + wide + 6}" y="{line + 11}">'
               f'{middle:.{metric.digits}f}</text>')
    if limit is not None:
        low = y + TITLE_H - 3
        yield (f'<path class="limit" d="M{at(limit):.1f} {low}'
               f'V{low + len(run.peers) * BAR_STEP}"/>')


def picture(run: Run) -> str:
    drawn = [metric for metric in METRICS if metric.drawn and metric.row in run.rows]
    panel_h = TITLE_H + len(run.peers) * BAR_STEP + 14
    lines = -(-len(drawn) // COLUMNS)
    width = 2 * MARGIN + COLUMNS * PANEL_W + (COLUMNS - 1) * GAP
    height = 2 * MARGIN + lines * panel_h + 20
    body = [f'<rect class="back" width="{width}" height="{height}"/>']
    for place, metric in enumerate(drawn):
        x = MARGIN + place % COLUMNS * (PANEL_W + GAP)
        body += panel(run, metric, x, MARGIN + place // COLUMNS * panel_h)
    body.append(f'<text class="dim" x="{MARGIN}" y="{height - 14}">'
                f"bar: median (rounds: {run.rounds}); line: smallest to largest; "
                "dashed: xdsgate's target</text>")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img">\n'
            f"<title>xdsgate beside other relays</title>\n<style>{STYLE}</style>\n"
            + "\n".join(body) + "\n</svg>\n")
