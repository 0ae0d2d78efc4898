"""Makes the scripts of `benchmarks/` importable."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent.parent.parent / "benchmarks")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)
