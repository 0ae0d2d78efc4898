"""What this project and a Ray cluster know of each other; nothing here needs Ray."""

from __future__ import annotations

import os
import socket
import sys
from importlib import import_module
from pathlib import Path

ANSWER_S = 5.0
"""Time within which a cluster's control service has to answer."""


def unauthenticated() -> bool:
    """Whether a cluster that is joined from here would let anybody in: Ray's token authentication is not switched on.

    Source: Ray's ``RAY_AUTH_MODE=token``, with the token in ``RAY_AUTH_TOKEN`` or a file; since Ray 2.52.
    """
    return os.environ.get("RAY_AUTH_MODE", "").lower() != "token"


def our_packages() -> list[str]:
    """Folders of the packages that this process uses, tasks' data included; Ray takes them to the nodes of a cluster.

    What a search needs is always among them; what maps its own functions has loaded its own package.
    """
    needed = {"dsl", "proxy_tasks", "search"}
    loaded = {name for name in ("simplify", "selection") if name in sys.modules}
    return [str(Path(import_module(name).__file__ or "").parent) for name in sorted(needed | loaded)]


def answers(address: str) -> bool:
    """Whether somebody answers at ``host:port``; True for other addresses, such as ``auto``, that only Ray can read.

    Ray itself tries for minutes and then ends the process.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return True
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S):
            return True
    except OSError:
        return False
