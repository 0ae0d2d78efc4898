"""What this project and a Ray cluster know of each other; nothing here needs Ray."""

from __future__ import annotations

import os
import shutil
import socket
import time
from importlib import import_module
from pathlib import Path

ANSWER_S = 5.0
"""Time within which a cluster's control service has to answer."""

PACKAGES = ("dsl", "proxy_tasks", "search", "selection", "simplify", "runs")
"""Packages of the project."""

_SETTINGS = b"\x04"
"""Type of the frame that both sides of an HTTP/2 connection begin with, the fourth of its nine bytes."""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00" + _SETTINGS + b"\x00\x00\x00\x00\x00"
"""What an HTTP/2 client says first: a fixed text and empty settings."""


def unauthenticated() -> bool:
    """Whether a cluster that is joined from here would let anybody in: Ray's token authentication is not switched on.

    Source: Ray's ``RAY_AUTH_MODE=token``, with the token in ``RAY_AUTH_TOKEN`` or a file; since Ray 2.52.
    """
    return os.environ.get("RAY_AUTH_MODE", "").lower() != "token"


def staged_package(folder: Path) -> Path:
    """Copies this package, data of tasks included, to ``folder/optsearch``, which Ray sends to a cluster's nodes.

    Ray wants one folder; an editable installation has one for each package, at the top level of the repository.

    Returns:
        The folder ``optsearch``.
    """
    root = folder / "optsearch"
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("", *PACKAGES):
        module = import_module(f"optsearch.{name}" if name else "optsearch")
        shutil.copytree(Path(module.__file__ or "").parent, root / name, ignore=skip, dirs_exist_ok=True)
    return root


def answers(address: str) -> bool:
    """Whether a gRPC server, as Ray's services are, answers at ``host:port`` or ``ray://host:port``; True for other
    addresses, such as ``auto``, that only Ray can read.

    Ray itself tries for minutes, also where something else answers, and then ends the process.

    Source: RFC 9113, 3.4: both sides of an HTTP/2 connection, which gRPC uses, begin with a SETTINGS frame.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65_536:
        return True
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "1":  # what it says is encrypted
                return True
            connection.sendall(_PREFACE)
            return _received(connection, 9)[3:4] == _SETTINGS
    except (OSError, UnicodeError):
        return False


def _received(connection: socket.socket, count: int) -> bytes:
    """The next bytes of a connection, at most ``count`` of them, in ``ANSWER_S`` together."""
    data, end = b"", time.monotonic() + ANSWER_S
    while len(data) < count and (left := end - time.monotonic()) > 0.0:
        connection.settimeout(left)
        if not (more := connection.recv(count - len(data))):
            break
        data += more
    return data
