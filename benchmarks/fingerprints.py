"""Fingerprints on the recorded programs of a search: distinct fingerprints, cache hits, programs per second.

    python benchmarks/fingerprints.py RUN                  replay the programs of a finished run with this version
    python benchmarks/fingerprints.py RUN --names FILE     and write the fingerprints to a file, in order
    python benchmarks/fingerprints.py RUN --against FILE   and compare with fingerprints written by another version

The programs of a search depend on the fitness cache, so versions are compared on one recorded sequence of programs. The
hit rate is the share of programs with the fingerprint of an earlier program. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.dsl.program import Program
from optsearch.runs.store.writer import RunStore


def stream(folder: Path) -> list[Program]:
    """Returns the programs of a run's search in ticket order."""
    with RunStore.read(folder) as store:
        search = store.search("search")
        results = {result.ticket: result for result in store.evaluations(search)}
        return [settled.candidate.program for settled in store.tickets(search, 1, results)]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--names", type=Path, metavar="FILE", help="write the fingerprints, one a line")
    parser.add_argument("--against", type=Path, metavar="FILE", help="fingerprints of the same run by another version")
    options = parser.parse_args()
    programs = stream(options.run)
    began = time.process_time()
    names = [fingerprint(program) for program in programs]
    seconds = time.process_time() - began
    distinct = len(set(names))
    result: dict[str, object] = {
        "fingerprint_version": FINGERPRINT_VERSION,
        "programs": len(programs),
        "distinct": distinct,
        "cache_hit_rate": round(1.0 - distinct / len(programs), 5),
        "programs_per_second": round(len(programs) / seconds),
    }
    if options.against:
        theirs = options.against.read_text().split()
        pairs = len(set(zip(names, theirs, strict=True)))
        result["split"] = pairs - len(set(theirs))  # fingerprints of the other version that are split here
        result["joined"] = pairs - distinct
    if options.names:
        options.names.write_text("\n".join(names) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
