"""Writes the generated pages: ``python -m optsearch.runs.reference docs``."""

import sys
from pathlib import Path

from optsearch.runs.reference.pages import PAGES

for name, page in PAGES.items():
    (Path(sys.argv[1]) / name).write_text(page(), encoding="utf-8")
