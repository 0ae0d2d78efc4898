"""A chart as data, and the words that its specification is made of (Vega-Lite).

The page draws a chart, ``--figures`` writes the same one as SVG and PDF and its rows as CSV. All text of users' files
is in the rows, where Vega-Lite takes it as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Spec = dict[str, Any]

PALETTE = ("#4c86c6", "#e0783a", "#3a9d78", "#b8527a", "#8a70c0", "#9a8534", "#4ba3b0", "#888888")
"""Colours of series, in their order; they can be told apart on white and on black, and without red and green."""

CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.13,
        "domainOpacity": 0.4,
        "tickOpacity": 0.4,
        "titleFontWeight": "normal",
        "labelOverlap": True,
    },
    "axisX": {"grid": False, "tickCount": 6},
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "orient": "bottom",
        "columns": 3,
        "labelLimit": 240,
        "symbolOpacity": 1,
    },
    "header": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "range": {"category": list(PALETTE)},
    "line": {"strokeWidth": 2},
}
"""How all charts look; ``currentColor`` is the colour of the text around them, light or dark."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Attributes:
        name: unique on its page; names its files.
        title: what it shows.
        note: how to read it, and what it leaves out.
        spec: the specification, without its data.
        rows: the data.
    """

    name: str
    title: str
    note: str
    spec: Spec
    rows: Sequence[Row]

    def bare(self, width: int | str = "container") -> Spec:
        """The specification with its data, without how all charts look.

        Args:
            width: in pixels; ``container`` for that of its place on the page.
        """
        fit = {"type": "fit", "contains": "padding"}
        data: Spec = {"values": list(self.rows)}
        return {"width": width, "height": 260, "autosize": fit, "data": data, **self.spec}

    def drawn(self, width: int) -> Spec:
        """The whole specification, with how all charts look."""
        return self.bare(width) | {"config": CONFIG}


def axis(field: str, title: str, **more: Any) -> Spec:
    """A quantitative channel."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def decades(values: Iterable[float]) -> Spec:
    """The axis of a logarithmic channel: ticks at powers of ten where there are several, about six of them.

    Args:
        values: what it spans, above 0.
    """
    known = list(values)
    if not known:
        return {"axis": {"format": "~g"}}
    first, last = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    apart = max(round((last - first) / 6), 1)
    ticks = {"values": [10.0**power for power in range(first, last + 1, apart)]} if last - first > 1 else {}
    return {"axis": {"format": "~g", **ticks}}


def series(field: str = "series", title: str | None = None, domain: Sequence[str] | None = None) -> Spec:
    """The channel of colours."""
    scale = {} if domain is None else {"scale": {"domain": list(domain), "range": list(PALETTE[: len(domain)])}}
    return {"field": field, "type": "nominal", "title": title, **scale}


def tips(*fields: tuple[str, str, str | None]) -> list[Spec]:
    """Tooltips: field, title, and the format of numbers, None for text."""
    return [
        {"field": name, "title": title, **({"format": form, "type": "quantitative"} if form else {"type": "nominal"})}
        for name, title, form in fields
    ]


def picked(field: str = "series") -> Spec:
    """A legend whose entries can be clicked, and what that does to marks."""
    return {
        "params": [{"name": "pick", "select": {"type": "point", "fields": [field]}, "bind": "legend"}],
        "opacity": {"condition": {"param": "pick", "value": 1}, "value": 0.08},
    }


def layer(part: str, mark: Spec, encoding: Spec) -> Spec:
    """A layer that draws the rows of one part."""
    return {"transform": [{"filter": {"field": "part", "equal": part}}], "mark": mark, "encoding": encoding}


NOT_ZERO: Spec = {"zero": False, "nice": True}
PROGRAMS = "programs generated"
PERCENT = {"format": ".0%"}
