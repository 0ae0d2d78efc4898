"""All generated pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from optsearch.runs.reference.catalogs import catalogs_page
from optsearch.runs.reference.commands import commands_page
from optsearch.runs.reference.json_keys import json_page
from optsearch.runs.reference.settings import settings_page

PAGES: Mapping[str, Callable[[], str]] = {
    "reference-commands.md": commands_page,
    "reference-settings.md": settings_page,
    "reference-tasks.md": catalogs_page,
    "reference-json.md": json_page,
}
"""Text of each page by its file name."""
