"""Base class of errors that the user can fix."""

from __future__ import annotations

from typing import ClassVar


class UserError(Exception):
    """An error that the user can fix. The message names the object, the rule and the fix.

    Attributes:
        exit_code: exit status of the command line: 2 for usage and configuration errors, 1 for failures at run time.
    """

    exit_code: ClassVar[int] = 2
