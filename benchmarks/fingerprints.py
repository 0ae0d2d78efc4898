"""What fingerprints save on the recorded stream of a search: distinct fingerprints, cache hits, programs a second.

    python benchmarks/fingerprints.py RUN                  replay a finished run's programs through this version
    python benchmarks/fingerprints.py RUN --names FILE     and write every program's fingerprint to a file, in order
    python benchmarks/fingerprints.py RUN --against FILE   and compare with the names that another version wrote

A search's programs depend on the fitness that the cache gives, so two versions are compared on one recorded stream. The
hit rate is the share of programs whose fingerprint an earlier program of the stream has. The last line is one JSON
object.
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
    """The programs of a run's search, in the order of their tickets."""
    with RunStore.read(folder) as store:
        arm = store.arm("search")
        results = {result.ticket: result for result in store.evaluations(arm)}
        return [settled.candidate.program for settled in store.tickets(arm, 1, results)]


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
        result["split"] = pairs - len(set(theirs))  # names of the other version that are several here
        result["joined"] = pairs - distinct
    if options.names:
        options.names.write_text("\n".join(names) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
