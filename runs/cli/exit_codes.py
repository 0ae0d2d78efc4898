"""Exit codes of the command line."""

from __future__ import annotations

from collections.abc import Mapping

SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES: Mapping[int, str] = {
    SUCCESS: "success",
    FAILURE: "failure: a run, a check or a file failed, as the message says; or the reader of the output has exited",
    USAGE: "usage or configuration error: the message names the object, the rule and the fix; nothing was started",
    INTERRUPTED: "interrupted; recorded results are safe, and the same command resumes",
}
"""Meaning of each exit code."""


def exit_code_lines() -> str:
    """The exit codes for the end of ``--help``, a paragraph each."""
    return "\n\n".join(["Exit codes:", *(f"{number}: {meaning}" for number, meaning in EXIT_CODES.items())])
