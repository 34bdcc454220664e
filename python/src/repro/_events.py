"""The event file of the stage, and what replaces it outside a stage."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Optional, Union

Event = Mapping[str, Union[str, int, float]]

# Guards the event file and the counters of steps. Reentrant, since a signal handler may report.
lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A child process must not inherit a lock that another thread held.
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )


def variable(name: str) -> Optional[str]:
    """Returns the value of an environment variable; ``None`` if it is unset or empty."""
    return os.environ.get(name) or None


def emit(events: Sequence[Event]) -> None:
    """Appends events to the file that ``REPRO_EVENTS`` names.

    If the variable is not set, they are printed.
    """
    path = variable("REPRO_EVENTS")
    if path is not None:
        data = "".join(_encode(event) + "\n" for event in events).encode()
        with lock:
            _file.append(path, data)
        return
    for event in events:
        if "progress" in event:
            _trace_progress(event)
        else:
            trace(_text(event))


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _text(event: Event) -> str:
    if "metric" in event:
        return f"{event['metric']} = {event['value']}, step {event['step']}"
    if "artifact" in event:
        return f"artifact {event['artifact']}"
    return f"item {event['item']} is done"


class _EventFile:
    """The event file, opened on first use. Processes that a fork makes share it."""

    def __init__(self) -> None:
        self.path: Optional[str] = None
        self.descriptor: Optional[int] = None

    def append(self, path: str, data: bytes) -> None:
        try:
            if path != self.path:
                self._open(path)
            if self.descriptor is not None:
                # One write for all lines: those of several processes do not mix.
                while data:
                    data = data[os.write(self.descriptor, data) :]
        except OSError as error:
            self.descriptor = None
            _warn(f"reports are no longer recorded: {error}")

    def _open(self, path: str) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.path, self.descriptor = path, None
        # A FIFO without a reader is an error instead of a wait.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
        self.descriptor = os.open(path, flags, 0o666)


_file = _EventFile()

# The terminal's current line shows progress.
_is_redrawn = False


def trace(text: str) -> None:
    """Prints what a stage would report."""
    global _is_redrawn
    with lock:
        begin = "\r\x1b[K" if _is_redrawn else ""
        _is_redrawn = False
        _print(f"{begin}{_shown(text)}\n")


def _trace_progress(event: Event) -> None:
    """Shows progress on one line of a terminal; prints nothing elsewhere."""
    global _is_redrawn
    with lock:
        if _is_terminal():
            _is_redrawn = event["progress"] != event["total"]
            end = "" if _is_redrawn else "\n"
            _print(f"\r\x1b[K{event['progress']}/{event['total']}{end}")


def _shown(text: str) -> str:
    """Escapes what could control a terminal."""
    return text if text.isprintable() else repr(text)[1:-1]


def _warn(text: str) -> None:
    _print(f"warning: {_shown(text)}\n")


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def _print(text: str) -> None:
    # stderr may be closed, or `None` in a program without a console.
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        pass
