"""Reports of a stage: metrics, artifacts and progress."""

from __future__ import annotations

import math
import operator
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, Optional, Protocol, SupportsFloat, SupportsIndex, TypeVar, Union

from . import _events, _paths


class _Scalar(Protocol):
    """A number of another library: a scalar of numpy, a tensor with one element."""

    def item(self) -> Any: ...


Number = Union[SupportsFloat, SupportsIndex, _Scalar]
"""A number as :func:`log_metric` takes it: an int or a float, or a scalar of numpy, PyTorch, …"""

T = TypeVar("T")

_MAX_U64 = 2**64 - 1
_MIN_I64 = -(2**63)

# The next step of each metric. Guarded by `_events.lock`.
_next_steps: dict[str, int] = {}


def log_metric(key: str, value: Number, step: Optional[int] = None) -> None:
    """Reports a value of a metric.

    All values of a metric form a series. Without ``step``, the first value has step 0 and each
    later one the step after the last. NaN and infinities are recorded as such, and integers of up
    to 64 bits exactly.

    >>> log_metric("loss", 0.41)
    >>> log_metric("loss", 0.40)                 # step 1
    >>> log_metric("val/loss", 0.52, step=100)

    Raises ``TypeError`` or ``ValueError`` if the value is not a number or the step is not a whole
    number from 0.
    """
    log_metrics({key: value}, step)


def log_metrics(values: Mapping[str, Number], step: Optional[int] = None) -> None:
    """Reports values of several metrics, of the same step if it is given.

    >>> log_metrics({"accuracy": 0.81, "f1": 0.79}, step=3)
    """
    numbers = [(_key(key), _number(key, value)) for key, value in values.items()]
    given = None if step is None else _whole("step", step)
    points: list[_events.Event] = []
    with _events.lock:
        for key, number in numbers:
            at = _next_steps.get(key, 0) if given is None else given
            _next_steps[key] = at + 1
            points.append({"metric": key, "step": at, "value": _json(number)})
    _events.emit(points)


def log_artifact(path: Union[str, os.PathLike[str]]) -> None:
    """Reports a file or directory that is worth looking at. It is kept where it is.

    >>> figure.savefig("plots/loss.png")
    >>> log_artifact("plots/loss.png")

    Raises ``FileNotFoundError`` if it does not exist, and in a stage ``ValueError`` if it is not
    inside the project.
    """
    name = os.fspath(path)
    os.lstat(name)
    _events.emit([{"artifact": _paths.in_project(name)}])


def progress(done: int, total: int) -> None:
    """Reports how much of the work is done.

    >>> progress(3, 100)
    """
    _events.emit([{"progress": _whole("done", done), "total": _whole("total", total)}])


def track(iterable: Iterable[T], total: Optional[int] = None) -> Iterator[T]:
    """Yields the elements of ``iterable`` and reports progress, at most ten times a second.

    >>> for batch in track(loader):
    ...     step(batch)

    The total is the length of ``iterable``, if it has one and ``total`` is not given. Without a
    total, nothing is reported.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    return iter(iterable) if total is None else _tracked(iterable, _whole("total", total))


def _tracked(iterable: Iterable[T], total: int) -> Iterator[T]:
    interval = 0.1
    progress(0, total)
    last, done = time.monotonic(), 0
    for element in iterable:
        yield element
        done += 1
        now = time.monotonic()
        if done == total or now - last >= interval:
            progress(done, total)
            last = now


def _key(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the name of a metric is a str, not {type(key).__name__}")
    if not key:
        raise ValueError("the name of a metric is empty")
    # `json` would write the code points that stand for bytes which are not UTF-8.
    return key.encode("utf-8", "backslashreplace").decode()


def _whole(name: str, value: SupportsIndex) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` is {value!r}; it must be a whole number") from None
    if not 0 <= number <= _MAX_U64:
        raise ValueError(f"`{name}` is {number}; it must be a whole number from 0 to 2^64 - 1")
    return number


def _number(key: str, value: Number) -> Union[int, float]:
    """Returns the value as an ``int`` of at most 64 bits or a ``float``, without rounding it."""
    try:
        number = value if isinstance(value, (int, float)) else _converted(value)
        if isinstance(number, float):
            return float(number)
        integer = int(number)
        return integer if _MIN_I64 <= integer <= _MAX_U64 else float(integer)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        what = f"the value of metric `{key}` is not a number: {error}"
        raise (TypeError if isinstance(error, TypeError) else ValueError)(what) from None


def _converted(value: Any) -> Union[int, float]:
    if hasattr(value, "item"):
        # PyTorch raises `RuntimeError` and numpy `ValueError` if there are several elements.
        value = value.item()
    if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
        raise TypeError(f"it is of type {type(value).__name__}")
    try:
        return operator.index(value)
    except TypeError:
        return float(value)


def _json(number: Union[int, float]) -> Union[int, float, str]:
    """Returns the number as JSON can represent it."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
