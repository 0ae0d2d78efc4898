"""The base of all errors whose message is for the user."""

from __future__ import annotations

from typing import ClassVar


class UserError(Exception):
    """Something that the user can put right; the message names the thing, the rule and the fix.

    Attributes:
        exit_code: what the command line exits with: 2 for usage and configuration, 1 for what failed while running.
    """

    exit_code: ClassVar[int] = 2
