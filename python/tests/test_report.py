from __future__ import annotations

import enum
import math
import os
import uuid
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from support import Case, captured_stderr

import repro


def fresh() -> str:
    """Returns the name of a metric that no other test uses: steps are counted by name."""
    return uuid.uuid4().hex


class Scalar:
    """A tensor with one element: neither a number nor a float, but `item()` gives one."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


class TwoElements:
    def item(self) -> float:
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")


class Level(enum.IntEnum):
    HIGH = 3


class Double(float):
    """A float whose text is not its digits, like those of numpy."""

    def __repr__(self) -> str:
        return "Double()"


class MetricTest(Case):
    def test_values(self) -> None:
        cases: list[tuple[Any, Any]] = [
            (0.1, 0.1),
            (1e308, 1e308),
            (5e-324, 5e-324),
            (-0.0, -0.0),
            (3, 3),
            (2**53 + 1, 2**53 + 1),
            (2**64 - 1, 2**64 - 1),
            (-(2**63), -(2**63)),
            (2**64, 18446744073709551616.0),
            (True, 1),
            (math.nan, "NaN"),
            (math.inf, "Infinity"),
            (-math.inf, "-Infinity"),
            (Level.HIGH, 3),
            (Double(0.5), 0.5),
            (Decimal("0.25"), 0.25),
            (Fraction(1, 4), 0.25),
            (Scalar(0.25), 0.25),
            (Scalar(2**63 + 1), 2**63 + 1),
            (Scalar(False), 0),
            (Scalar(math.nan), "NaN"),
            (Scalar(Decimal("0.5")), 0.5),
        ]
        for value, _ in cases:
            repro.log_metric("m", value)
        for (value, expected), event in zip(cases, self.events()):
            with self.subTest(value=value):
                self.assertEqual(repr(event["value"]), repr(expected))

    def test_values_that_are_no_numbers(self) -> None:
        values: list[Any] = ["0.5", None, [1.0], 1j, Scalar("0.5"), TwoElements(), 10**400]
        for value in values:
            with self.subTest(value=value):
                with self.assertRaisesRegex((TypeError, ValueError), "value of metric `m`"):
                    repro.log_metrics({"good": 1, "m": value})
        self.assertEqual(self.events(), [])

    def test_steps(self) -> None:
        key, other = fresh(), fresh()
        for step in [None, None, 7, None]:
            repro.log_metric(key, 1, step)
        repro.log_metrics({key: 1, other: 1})
        repro.log_metrics({key: 1, other: 1}, step=2**64 - 1)
        steps = [(event["metric"] == key, event["step"]) for event in self.events()]
        both = [(True, 9), (False, 0), (True, 2**64 - 1), (False, 2**64 - 1)]
        self.assertEqual(steps, [(True, 0), (True, 1), (True, 7), (True, 8), *both])

    def test_steps_that_are_not_whole(self) -> None:
        steps: list[Any] = [-1, 0.5, "3", 2**64]
        for step in steps:
            with self.subTest(step=step), self.assertRaisesRegex((TypeError, ValueError), "whole"):
                repro.log_metric("m", 1, step=step)
        self.assertEqual(self.events(), [])

    def test_names(self) -> None:
        for key in ["a b", "ä\n\"'\u2028", "\udcff"]:
            repro.log_metric(key, 1)
        names = [event["metric"] for event in self.events()]
        self.assertEqual(names, ["a b", "ä\n\"'\u2028", "\\udcff"])
        no_names: list[Any] = ["", 3, None]
        for key in no_names:
            with self.assertRaisesRegex((TypeError, ValueError), "the name of a metric is"):
                repro.log_metric(key, 1)

    def test_outside_a_stage(self) -> None:
        self.leave_stage()
        key = fresh()
        with captured_stderr() as stderr:
            repro.log_metric(key, 0.5)
            repro.log_metrics({f"{key}\x1b[31m": math.nan}, step=3)
        self.assertEqual(stderr.getvalue(), f"{key} = 0.5, step 0\n{key}\\x1b[31m = NaN, step 3\n")


# Reports from four threads and, after a fork each, from four processes.
FORKS = """
import os, signal, threading, repro

def report():
    signal.alarm(30)                    # ends a process that waits for a lock forever
    for _ in range(50):
        repro.log_metric("k" * 3000, 1)

threads = [threading.Thread(target=report) for _ in range(4)]
children = []
for thread in threads:
    thread.start()
    child = os.fork()
    if child == 0:
        report()
        os._exit(0)
    children.append(child)
for thread in threads:
    thread.join()
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""


class FileTest(Case):
    def test_threads_and_forks(self) -> None:
        self.python(FORKS)
        # Threads share one count of steps; a child goes on from its parent's.
        steps = {event["step"] for event in self.events()}
        self.assertLess(set(range(199)), steps)

    def test_lines_of_processes_are_whole(self) -> None:
        self.python(FORKS, times=3)
        self.assertEqual(len(self.events()), 3 * 8 * 50)

    def test_open_file_is_followed(self) -> None:
        first, second = self.root / "a", self.root / "b"
        for path in [first, second, first]:
            os.environ["REPRO_EVENTS"] = str(path)
            repro.progress(1, 2)
        self.assertEqual(first.read_text(), '{"progress": 1, "total": 2}\n' * 2)
        self.assertEqual(second.read_text(), '{"progress": 1, "total": 2}\n')

    def test_unwritable_file(self) -> None:
        os.mkfifo("fifo")
        for path in [self.root / "none" / "events", self.root / "fifo", self.root]:
            os.environ["REPRO_EVENTS"] = str(path)
            with self.subTest(path=path), captured_stderr() as stderr:
                repro.progress(1, 2)
                repro.progress(2, 2)
                begin = "warning: reports are no longer recorded: "
                self.assertTrue(stderr.getvalue().startswith(begin))
                self.assertEqual(stderr.getvalue().count("\n"), 1)
        os.environ["REPRO_EVENTS"] = os.devnull
        with captured_stderr() as stderr:
            repro.progress(2, 2)
        self.assertEqual(stderr.getvalue(), "")

    def test_full_disk(self) -> None:
        if os.path.exists("/dev/full"):
            os.environ["REPRO_EVENTS"] = "/dev/full"
            with captured_stderr() as stderr:
                repro.progress(1, 2)
                repro.progress(2, 2)
            self.assertEqual(stderr.getvalue().count("\n"), 1)


class ArtifactTest(Case):
    def test_paths(self) -> None:
        (self.root / "plots").mkdir()
        (self.root / "plots" / "a.png").touch()
        os.symlink("plots", "link")
        os.symlink("plots/a.png", "latest.png")
        os.chdir("plots")
        paths: list[Any] = ["a.png", Path("../plots"), "../link/a.png", "../latest.png", ".", "./"]
        for path in [*paths, str(self.root / "plots" / "a.png")]:
            repro.log_artifact(path)
        names = [event["artifact"] for event in self.events()]
        expected = ["plots/a.png", "plots", "plots/a.png", "latest.png", "plots", "plots"]
        self.assertEqual(names, [*expected, "plots/a.png"])

    def test_paths_that_are_refused(self) -> None:
        with self.assertRaises(FileNotFoundError):
            repro.log_artifact("none.png")
        for path in ["/", ".", ".."]:
            with self.assertRaisesRegex(ValueError, "not inside the project"):
                repro.log_artifact(path)
        name = os.fsdecode(b"caf\xe9")
        Path(name).touch()
        with self.assertRaisesRegex(ValueError, "not UTF-8"):
            repro.log_artifact(name)
        self.assertEqual(self.events(), [])

    def test_outside_a_stage(self) -> None:
        self.leave_stage()
        Path("a.png").touch()
        with captured_stderr() as stderr:
            repro.log_artifact("a.png")
            with self.assertRaises(FileNotFoundError):
                repro.log_artifact("none.png")
        self.assertEqual(stderr.getvalue(), "artifact a.png\n")


class ProgressTest(Case):
    def test_track(self) -> None:
        self.assertEqual(list(repro.track("abc")), ["a", "b", "c"])
        events = self.events()
        self.assertEqual(events[0], {"progress": 0, "total": 3})
        self.assertEqual(events[-1], {"progress": 3, "total": 3})

    def test_track_reports_finished_work(self) -> None:
        for _ in repro.track([1]):
            self.assertEqual(self.events(), [{"progress": 0, "total": 1}])

    def test_track_is_rare(self) -> None:
        self.assertEqual(sum(repro.track(range(100_000))), sum(range(100_000)))
        self.assertLess(len(self.events()), 1000)

    def test_track_without_length(self) -> None:
        self.assertEqual(list(repro.track(iter("abc"))), ["a", "b", "c"])
        self.assertEqual(self.events(), [])
        self.assertEqual(list(repro.track(iter("abc"), total=3)), ["a", "b", "c"])
        self.assertEqual(self.events()[-1], {"progress": 3, "total": 3})

    def test_outside_a_stage(self) -> None:
        self.leave_stage()
        key = fresh()
        with captured_stderr() as stderr:
            repro.progress(1, 2)
        self.assertEqual(stderr.getvalue(), "")
        with captured_stderr(is_terminal=True) as stderr:
            repro.progress(1, 2)
            repro.log_metric(key, 1)
            repro.progress(2, 2)
        clear = "\r\x1b[K"
        lines = f"{clear}1/2{clear}{key} = 1, step 0\n{clear}2/2\n"
        self.assertEqual(stderr.getvalue(), lines)

    def test_closed_stderr(self) -> None:
        self.leave_stage()
        self.python("import os, repro; os.close(2); repro.log_metric('m', 1); repro.progress(1, 2)")
        self.python("import sys, repro; sys.stderr = None; repro.progress(1, 2)")
