"""Runs a command as a process group under supervision. It is a program of its own, of the standard library alone.

The process that started it, its owner, may be killed at any moment. The supervisor therefore leaves the owner's group
and detaches itself: at the end of its standard input, which is the end of its owner, it ends the command. Ending means
SIGTERM to the whole group, after a while SIGKILL, and SIGKILL to all processes that have left the group.

Its argument is a JSON object: ``words`` of the command, ``folder`` in which it runs, ``scratch``, a folder to delete at
the end, ``log`` path, ``log_bytes``, ``time_limit_s``, ``grace_s``. It prints ``R`` and each line of the command's
standard output that may be a report, and at last ``E`` and a JSON object: the exit ``code``, and the ``reason`` if it
ended the command. From its standard input it reads ``D``, when its owner needs no more reports, which leaves the
command ``grace_s`` to end by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from typing import Any

TICK_S = 0.05
CHUNK, PIPE_CHUNKS = 65_536, 64
LONGEST_REPORT = 10_000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Log:
    """A file with the first and the last bytes of an output, of bounded size.

    Args:
        path: path of the file, which is replaced.
        size: largest number of bytes of output in the file.
    """

    def __init__(self, path: str, size: int):
        self._left = self._size = size // 2
        self._tail, self._bytes, self._omitted = deque[bytes](), 0, 0
        self._file: Any = None
        with contextlib.suppress(OSError):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open until the end

    def write(self, data: bytes) -> None:
        """Adds output; a full disk ends the log and not the run."""
        head, data = data[: self._left], data[self._left :]
        self._left -= len(head)
        self._put(head)
        if data:
            self._tail.append(data)
            self._bytes += len(data)
            while self._bytes - len(self._tail[0]) >= self._size:
                self._bytes -= len(self._tail[0])
                self._omitted += len(self._tail.popleft())

    def close(self) -> None:
        """Writes the last bytes."""
        if self._omitted:
            self._put(f"\n[{self._omitted:,} bytes omitted]\n".encode())
        self._put(b"".join(self._tail)[-self._size :])

    def _put(self, data: bytes) -> None:
        if self._file is not None and data:
            with contextlib.suppress(OSError):
                self._file.write(data)


class Supervisor:
    """Supervises one command.

    Args:
        settings: as the module says.
    """

    def __init__(self, settings: dict[str, Any]):
        self._settings = settings
        self._log = Log(settings["log"], settings["log_bytes"])
        self._rest, self._reason = b"", ""
        self._selector = selectors.DefaultSelector()

    def run(self) -> dict[str, Any]:
        """Runs the command to its end; returns how it ended."""
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
                self._settings["words"],
                cwd=self._settings["folder"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        except OSError as error:
            return {"code": None, "reason": "start", "error": f"{error.strerror}: {error.filename}"}
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self._out, self._err = process.stdout.fileno(), process.stderr.fileno()
        for pipe in (self._out, self._err):
            os.set_blocking(pipe, False)
        for pipe in (0, self._out, self._err):
            self._selector.register(pipe, selectors.EVENT_READ)
        deadline = time.monotonic() + self._settings["time_limit_s"]
        reason = "time_limit"
        self._process = process
        while not self._has_ended():
            if time.monotonic() > deadline:
                self._reason = reason
                break
            told = self._listen(TICK_S)
            if told is not None and not told:
                self._reason = "owner"
                break
            if told:
                deadline, reason = min(deadline, time.monotonic() + self._settings["grace_s"]), "done"
        self._end()
        code = process.wait()
        _end_adopted()
        self._drain()
        self._log.close()
        shutil.rmtree(self._settings["scratch"], ignore_errors=True)  # the owner may be gone
        return {"code": code, "reason": self._reason}

    def _listen(self, timeout_s: float) -> bytes | None:
        """Passes output on; returns what the owner says, empty at its end, and None if nothing."""
        told: bytes | None = None
        for key, _ in self._selector.select(timeout_s):
            data = _read(key.fd)
            if data is None:
                continue
            if key.fd == 0:
                told = data
                if not data:
                    self._selector.unregister(0)
            elif data:
                self._pass_on(key.fd, data)
            else:
                self._selector.unregister(key.fd)
        return told

    def _pass_on(self, pipe: int, data: bytes) -> None:
        self._log.write(data)
        if pipe != self._out:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[: LONGEST_REPORT + 1]
        for line in lines:
            self._tell(line)

    def _tell(self, line: bytes) -> None:
        if line.lstrip().startswith(b"{") and len(line) <= LONGEST_REPORT:
            say(b"R" + line.strip())

    def _has_ended(self) -> bool:
        """True if the command has ended; it remains to be waited for, where the system can tell so."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self._process.poll() is not None
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _end(self) -> None:
        """Ends the group of the command, which its leader, not yet waited for, keeps from being another's."""
        if not self._has_ended():
            _kill_group(self._process.pid, signal.SIGTERM)
            deadline = time.monotonic() + self._settings["grace_s"]
            while not self._has_ended() and time.monotonic() < deadline:
                self._listen(TICK_S)
        _kill_group(self._process.pid, signal.SIGKILL)

    def _drain(self) -> None:
        """Reads what the ended command has left in its pipes."""
        for pipe in (self._out, self._err):
            for _ in range(PIPE_CHUNKS):  # a process that nothing could end may still write
                if data := _read(pipe):
                    self._pass_on(pipe, data)
        if self._rest:
            self._tell(self._rest)


def say(line: bytes) -> None:
    """Tells the owner a line, if there still is one."""
    data = line + b"\n"
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(1, data) :]


def _read(pipe: int) -> bytes | None:
    """Data of a pipe; empty at its end, None if there is nothing."""
    try:
        return os.read(pipe, CHUNK)
    except BlockingIOError:
        return None


def _kill_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end_adopted() -> None:
    """Kills processes of the command that have left its group, which Linux makes children of this process."""
    path = f"/proc/self/task/{os.getpid()}/children"
    for _ in range(1000):
        try:
            with open(path, encoding="ascii") as file:
                children = [int(word) for word in file.read().split()]
        except OSError:
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if not children:
            return
        time.sleep(0.01)


def _prctl(option: int, value: int) -> None:
    """Sets an attribute of this process, on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> None:
    """Detaches this process from its owner, and supervises."""
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, the command does not inherit this
    try:
        ended = Supervisor(json.loads(sys.argv[1])).run()
    except Exception as error:  # noqa: BLE001 - the owner has to know of any
        ended = {"code": None, "reason": "supervisor", "error": repr(error)}
    say(b"E" + json.dumps(ended).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
