"""The params of the stage, or of the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from datetime import date, datetime, time
from typing import Any, Optional

from . import _paths
from ._events import variable


def params() -> dict[str, Any]:
    """Returns the params, nested as in ``pipeline.toml``.

    >>> params()["train"]["epochs"]
    10

    In a stage, these are the params that it declares. Outside a stage, they are all params of the
    project that contains the current directory, and none if there is no project.

    Each call returns a new dictionary. Raises ``RuntimeError`` if the params of the project cannot
    be read.
    """
    file = variable("REPRO_PARAMS")
    if file is not None:
        with open(file, encoding="utf-8") as text:
            return _table(json.load(text), file)
    root = _paths.find_root()
    return {} if root is None else _of_project(root)


def _of_project(root: str) -> dict[str, Any]:
    # Only the command knows all places of params: included files, config groups.
    command = _command()
    if command is not None:
        shown = subprocess.run(
            [command, "-C", root, "params", "show", "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        if shown.returncode != 0:
            raise RuntimeError(f"cannot read the params of `{root}`:\n{shown.stderr.strip()}")
        return _table(json.loads(shown.stdout), "repro params show --json")
    return _from_toml(os.path.join(root, _paths.PIPELINE))


def _command() -> Optional[str]:
    """Returns the path of the command ``repro``, preferably the one installed with this package."""
    return shutil.which("repro", path=sysconfig.get_path("scripts")) or shutil.which("repro")


def _from_toml(file: str) -> dict[str, Any]:
    install = "install the command `repro`, which knows the params"
    if sys.version_info < (3, 11):
        raise RuntimeError(f"cannot read `{file}` before Python 3.11; {install}")
    import tomllib

    with open(file, "rb") as text:
        try:
            pipeline = tomllib.load(text)
        except tomllib.TOMLDecodeError as error:
            raise RuntimeError(f"`{file}` is not TOML: {error}") from None
    if "config" in pipeline:
        raise RuntimeError(f"`{file}` takes params from other files; {install}")
    return _table(_plain(pipeline.get("params", {})), file)


def _plain(value: Any) -> Any:
    """Returns dates and times as texts, as the command does."""
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return value.isoformat() if isinstance(value, (date, datetime, time)) else value


def _table(value: Any, source: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RuntimeError(f"the params in `{source}` are not a table")
    return value
