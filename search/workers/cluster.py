"""Packaging and health checks for a Ray cluster; does not import Ray."""

from __future__ import annotations

import math
import os
import shutil
import socket
import time
from importlib import import_module
from pathlib import Path

ANSWER_S = 5.0
"""Timeout for a response of a cluster's control service, in seconds."""

PACKAGES = ("dsl", "proxy_tasks", "search", "selection", "simplify", "runs")
"""Packages of the project."""

_SETTINGS = b"\x04"
"""Type of a SETTINGS frame, the fourth of the nine header bytes; both sides of an HTTP/2 connection start with one."""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00" + _SETTINGS + b"\x00\x00\x00\x00\x00"
"""HTTP/2 client preface: a fixed text and an empty SETTINGS frame."""


def unauthenticated() -> bool:
    """Returns True if Ray's token authentication is disabled, so that a cluster accepts any client.

    Source: Ray's ``RAY_AUTH_MODE=token``, with the token in ``RAY_AUTH_TOKEN`` or a file; since Ray 2.52.
    """
    return os.environ.get("RAY_AUTH_MODE", "").lower() != "token"


def placeable(gpus: float) -> bool:
    """Returns True if Ray can assign this number of GPUs: a whole number, or a fraction from 0.0001 to 1."""
    return gpus == 0.0 or 0.0001 <= gpus < 1.0 or (math.isfinite(gpus) and gpus == int(gpus) and gpus > 0.0)


def staged_package(folder: Path) -> Path:
    """Copies this package, including task data, to ``folder/optsearch``, which Ray uploads to a cluster's nodes.

    Ray requires a single folder; an editable installation has one per package, at the top level of the repository.

    Returns:
        Path of the folder ``optsearch``.
    """
    root = folder / "optsearch"
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("", *PACKAGES):
        if not (root / name).exists():  # a regular installation has all packages in the first folder
            module = import_module(f"optsearch.{name}" if name else "optsearch")
            shutil.copytree(Path(module.__file__ or "").parent, root / name, ignore=skip)
    return root


def answers(address: str) -> bool:
    """Returns True if a gRPC server answers at ``host:port`` or ``ray://host:port``.

    Ray's services are gRPC servers. Other addresses, such as ``auto``, can only be resolved by Ray and give True.
    Without this check, Ray retries for minutes, even if a different service answers, and then terminates the process.

    Source: RFC 9113, 3.4: both sides of an HTTP/2 connection, which gRPC uses, start with a SETTINGS frame.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65_536:
        return True
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "1":  # the response is encrypted
                return True
            connection.sendall(_PREFACE)
            return _received(connection, 9)[3:4] == _SETTINGS
    except (OSError, UnicodeError):
        return False


def _received(connection: socket.socket, count: int) -> bytes:
    """Reads up to ``count`` bytes from a connection within ``ANSWER_S`` in total."""
    data, end = b"", time.monotonic() + ANSWER_S
    while len(data) < count and (left := end - time.monotonic()) > 0.0:
        connection.settimeout(left)
        if not (more := connection.recv(count - len(data))):
            break
        data += more
    return data
