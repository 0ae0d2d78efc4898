"""Charts as data, and building blocks of their Vega-Lite specifications.

The page draws a chart; ``--figures`` writes the same chart as SVG and PDF, and its rows as CSV. Text from user files
occurs only in the rows, where Vega-Lite treats it as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST_NAMES = 8
"""Number of series that the alternative text of a chart names."""

Row = dict[str, Any]
"""A record of a chart's data: Vega-Lite, the page and the CSV file take rows as mappings of columns to values."""

Spec = dict[str, Any]
"""Part of a Vega-Lite specification, whose schema is that of Vega-Lite."""

PALETTE = ("#4c86c6", "#e0783a", "#3a9d78", "#b8527a", "#8a70c0", "#9a8534", "#4ba3b0", "#888888")
"""Colours of series, in order; distinguishable on white and on black, and with colour vision deficiency."""

TEXT = 14
"""Size of all text of charts in pixels, that of notes and tables of the page."""

CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "text": {"fontSize": TEXT},
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
        "labelFontSize": TEXT,
        "titleFontSize": TEXT,
        "labelOverlap": True,
    },
    "axisX": {"grid": False, "tickCount": 6, "labelSeparation": 6},
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "orient": "bottom",
        "labelFontSize": TEXT,
        "titleFontSize": TEXT,
        "columns": 3,
        "labelLimit": 240,
        "symbolOpacity": 1,
    },
    "header": {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": TEXT},
    "range": {"category": list(PALETTE)},
    "line": {"strokeWidth": 2},
}
"""Style of all charts; ``currentColor`` is the colour of the surrounding text, in light and dark mode."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Attributes:
        name: name of the chart and its files, unique within a page.
        title: title of the chart.
        note: explanation of the chart, and of omitted data.
        spec: Vega-Lite specification without data.
        rows: the data.
    """

    name: str
    title: str
    note: str
    spec: Spec
    rows: Sequence[Row]

    @property
    def alternative(self) -> str:
        """What the chart shows, for readers who do not see it: axes, series, ranges, and the note."""
        said = [f"{self.title}."]
        encodings = [part.get("encoding", {}) for part in self.spec.get("layer", [self.spec])]
        for name in ("x", "y"):
            channel = next((each[name] for each in encodings if "field" in each.get(name, {})), None)
            if channel is not None:
                said.append(self._axis_words(name, channel))
        color = next((each["color"]["field"] for each in encodings if "field" in each.get("color", {})), None)
        values = [] if color is None else [row.get(color) for row in self.rows]
        names = [str(value) for value in dict.fromkeys(values) if value is not None]
        if names and not isinstance(values[0], float):
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            said.append(f"Shown: {', '.join(names[:MOST_NAMES])}{more}.")
        return " ".join([*said, self.note])

    def _axis_words(self, name: str, channel: Spec) -> str:
        field = channel["field"]
        title = channel.get("title") or field
        values = [row[field] for row in self.rows if row.get(field) is not None]
        if not values or not all(isinstance(value, int | float) for value in values):
            return f"{name.upper()} axis: {title}."
        return f"{name.upper()} axis: {title}, from {min(values):.4g} to {max(values):.4g}."

    def bare(self, width: int | str = "container") -> Spec:
        """Specification with data, without the common style.

        Args:
            width: width in pixels; ``container`` for the width of the containing element.
        """
        fit = {"type": "fit", "contains": "padding"}
        data: Spec = {"values": list(self.rows)}
        return {"width": width, "height": 260, "autosize": fit, "data": data, **self.spec}

    def drawn(self, width: int) -> Spec:
        """Complete specification, with data and the common style."""
        return self.bare(width) | {"config": CONFIG}


def row_of(record: DataclassInstance) -> Row:
    """A flat dataclass as a row, with a column for each field."""
    return {part.name: getattr(record, part.name) for part in fields(record)}


def axis(field: str, title: str, **more: Any) -> Spec:
    """A quantitative channel."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def decades(values: Iterable[float]) -> Spec:
    """Axis of a logarithmic channel, with about six ticks at powers of ten if the values span several.

    Args:
        values: positive values that the axis spans.
    """
    known = list(values)
    if not known:
        return {"axis": {"format": "~g"}}
    first, last = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    apart = max(round((last - first) / 6), 1)
    ticks = {"values": [10.0**power for power in range(first, last + 1, apart)]} if last - first > 1 else {}
    return {"axis": {"format": "~g", **ticks}}


def series(field: str = "series", title: str | None = None, domain: Sequence[str] | None = None) -> Spec:
    """A colour channel for series."""
    scale = {} if domain is None else {"scale": {"domain": list(domain), "range": list(PALETTE[: len(domain)])}}
    return {"field": field, "type": "nominal", "title": title, **scale}


def tips(*fields: tuple[str, str, str | None]) -> list[Spec]:
    """Tooltips; each field is a name, a title and a number format, None for text."""
    return [
        {"field": name, "title": title, **({"format": form, "type": "quantitative"} if form else {"type": "nominal"})}
        for name, title, form in fields
    ]


def picked(field: str = "series") -> Spec:
    """An interactive legend: the selection parameter, and the opacity that depends on it."""
    return {
        "params": [{"name": "pick", "select": {"type": "point", "fields": [field]}, "bind": "legend"}],
        "opacity": {"condition": {"param": "pick", "value": 1}, "value": 0.08},
    }


def layer(part: str, mark: Spec, encoding: Spec) -> Spec:
    """A layer that draws the rows with a given ``part``."""
    return {"transform": [{"filter": {"field": "part", "equal": part}}], "mark": mark, "encoding": encoding}


NOT_ZERO: Spec = {"zero": False, "nice": True}
PROGRAMS = "programs generated"
EVALUATIONS = "programs evaluated"
PERCENT = {"format": ".0%"}
