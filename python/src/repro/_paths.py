"""Paths in the project, as the pipeline names them: relative to its root, with slashes."""

from __future__ import annotations

import os
from typing import Optional

from ._events import variable

PIPELINE = "pipeline.toml"


def find_root() -> Optional[str]:
    """Returns the nearest directory upwards that has a ``pipeline.toml``."""
    here = os.getcwd()
    while not os.path.isfile(os.path.join(here, PIPELINE)):
        above = os.path.dirname(here)
        if above == here:
            return None
        here = above
    return here


def in_project(path: str) -> str:
    """Returns the project path of ``path``, which is relative to the current directory.

    Outside a stage, a path that is not inside a project stays as it is.
    """
    root = variable("REPRO_ROOT") or find_root()
    below = os.path.relpath(_resolved(path), os.path.realpath(root)) if root else os.pardir
    if below.split(os.sep)[0] in (os.curdir, os.pardir):
        if variable("REPRO_EVENTS"):
            raise ValueError(f"`{path}` is not inside the project, `{root}`")
        return path
    try:
        below.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the name of {path!r} is not UTF-8") from None
    return below.replace(os.sep, "/")


def _resolved(path: str) -> str:
    """Returns the full path. Links among the folders are resolved; the last name may be one."""
    full = os.path.join(os.getcwd(), path)
    folder, name = os.path.split(full.rstrip(os.sep))
    if name in ("", os.curdir, os.pardir):
        return os.path.realpath(full)
    return os.path.join(os.path.realpath(folder), name)


def start() -> str:
    """Returns the path from the current directory to the project root; empty if they are one."""
    root = variable("REPRO_ROOT")
    return "" if root is None or os.path.realpath(root) == os.getcwd() else root
