"""The items of a stage with ``each``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Optional

from . import _events, _paths


@dataclass(frozen=True)
class Item:
    """One of the files that a stage processes, with the outs to write for it."""

    name: str
    """The item as the pipeline names it: ``in/a.wav``."""
    path: Path
    """The file to read."""
    outs: tuple[Path, ...]
    """The files to write, in the order of the declaration."""

    def done(self) -> None:
        """Reports that the outs are complete: they are kept, even if the stage fails later."""
        _events.emit([{"item": self.name}])

    def __enter__(self) -> Item:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self.done()


def items() -> list[Item]:
    """Returns the items that are out of date, from the file that ``REPRO_ITEMS`` names.

    An item used as a context manager is reported as done when its block ends without an
    exception:

    >>> for item in items():
    ...     with item:
    ...         item.outs[0].write_bytes(convert(item.path.read_bytes()))

    Items can be sent to other processes and reported there. Those that are never reported are
    kept when the stage succeeds.

    Outside a stage the list is empty. Raises ``RuntimeError`` in a stage that has no such file.
    """
    path = _events.variable("REPRO_ITEMS")
    if path is None:
        if _events.variable("REPRO_EVENTS"):
            raise RuntimeError(
                "this stage has no items: REPRO_ITEMS is not set; declare `each` in "
                "pipeline.toml, and name no item in `cmd`"
            )
        _events.trace("no items: not in a stage")
        return []
    start = _paths.start()
    with open(path, encoding="utf-8") as file:
        return [_item(line, start) for line in file]


def _item(line: str, start: str) -> Item:
    entry = json.loads(line)
    outs = tuple(Path(start, out) for out in entry["outs"])
    return Item(entry["item"], Path(start, entry["item"]), outs)
