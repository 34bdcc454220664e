"""A stage for tests: the variables of the contract, in a temporary project."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

SOURCES = str(Path(__file__).resolve().parent.parent / "src")
sys.path.insert(0, SOURCES)


class Case(unittest.TestCase):
    """A test in a project whose stage runs, unless it calls ``leave_stage``."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        self.events_file = self.root / "runs" / "events.jsonl"
        self.events_file.parent.mkdir()
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.root)
        variables = {"REPRO_ROOT": str(self.root), "REPRO_EVENTS": str(self.events_file)}
        others = {name: text for name, text in os.environ.items() if not name.startswith("REPRO_")}
        patch = mock.patch.dict(os.environ, {**others, **variables}, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def leave_stage(self) -> None:
        del os.environ["REPRO_ROOT"], os.environ["REPRO_EVENTS"]

    def events(self) -> list[Any]:
        """Returns the events so far; none may contain a bare NaN or infinity."""

        def reject(name: str) -> None:
            raise AssertionError(f"{name} is not JSON")

        text = self.events_file.read_text() if self.events_file.exists() else ""
        assert not text or text.endswith("\n")
        return [json.loads(line, parse_constant=reject) for line in text.split("\n")[:-1]]

    def python(self, script: str, times: int = 1) -> None:
        """Runs a script in other interpreters, several times at once."""
        environment = {**os.environ, "PYTHONPATH": SOURCES}
        # Python from 3.12 on warns of a fork beside threads.
        command = [sys.executable, "-W", "ignore", "-c", script]
        started = [subprocess.Popen(command, env=environment) for _ in range(times)]
        self.assertEqual([process.wait(timeout=60) for process in started], [0] * times)


@contextlib.contextmanager
def captured_stderr(is_terminal: bool = False) -> Any:
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]
    with contextlib.redirect_stderr(stream):
        yield stream
