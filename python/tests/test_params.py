from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest import mock, skipIf, skipUnless

from support import Case

import repro
from repro import _params

HAS_TOML = sys.version_info >= (3, 11)


class ParamsTest(Case):
    def setUp(self) -> None:
        super().setUp()
        # The command is tested with a real one in tests/e2e.
        patch = mock.patch.object(_params, "_command", lambda: None)
        patch.start()
        self.addCleanup(patch.stop)

    def test_in_a_stage(self) -> None:
        Path("params.json").write_text('{"seed": 42, "train": {"epochs": 10}}')
        os.environ["REPRO_PARAMS"] = str(self.root / "params.json")
        params = repro.params()
        self.assertEqual(params, {"seed": 42, "train": {"epochs": 10}})
        params["seed"] = 1
        self.assertEqual(repro.params()["seed"], 42)
        Path("params.json").write_text("[]")
        with self.assertRaisesRegex(RuntimeError, "not a table"):
            repro.params()

    @skipUnless(HAS_TOML, "tomllib is part of Python from 3.11 on")
    def test_toml(self) -> None:
        Path("pipeline.toml").write_text("[params]\nn = 1\nday = 2024-01-02\n[params.t]\nx = 0.5\n")
        Path("sub").mkdir()
        os.chdir("sub")
        self.assertEqual(repro.params(), {"n": 1, "day": "2024-01-02", "t": {"x": 0.5}})
        for text, what in [("[params\n", "is not TOML"), ("[config]\n", "from other files")]:
            (self.root / "pipeline.toml").write_text(text)
            with self.assertRaisesRegex(RuntimeError, what):
                repro.params()

    @skipIf(HAS_TOML, "tomllib is part of Python from 3.11 on")
    def test_no_toml(self) -> None:
        Path("pipeline.toml").write_text("[params]\nn = 1\n")
        with self.assertRaisesRegex(RuntimeError, "install the command `repro`"):
            repro.params()

    def test_no_project(self) -> None:
        self.assertEqual(repro.params(), {})
