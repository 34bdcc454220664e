from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

from support import Case, captured_stderr

import repro


class ItemsTest(Case):
    def write_items(self) -> None:
        entries = [{"item": f"in/{name}", "outs": [f"out/{name}", "o"]} for name in ["a", "ä b"]]
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        Path("items.jsonl").write_text(text)
        os.environ["REPRO_ITEMS"] = str(self.root / "items.jsonl")

    def test_finished_items_are_reported(self) -> None:
        self.write_items()
        with self.assertRaises(ZeroDivisionError):
            for item in repro.items():
                with item:
                    self.assertEqual(item.outs, (Path("out") / item.path.name, Path("o")))
                    self.assertEqual(item.path, Path(item.name))
                    if item.name != "in/a":
                        raise ZeroDivisionError
        self.assertEqual(self.events(), [{"item": "in/a"}])

    def test_listing_reports_nothing(self) -> None:
        self.write_items()
        items = repro.items()
        self.assertEqual(self.events(), [])
        pickle.loads(pickle.dumps(items[1])).done()
        self.assertEqual(self.events(), [{"item": "in/ä b"}])

    def test_paths_from_another_directory(self) -> None:
        self.write_items()
        Path("sub").mkdir()
        os.chdir("sub")
        item = repro.items()[0]
        self.assertEqual((item.path, item.outs[0]), (self.root / "in/a", self.root / "out/a"))
        item.done()
        self.assertEqual(self.events(), [{"item": "in/a"}])

    def test_stage_without_items(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "declare `each`"):
            repro.items()

    def test_outside_a_stage(self) -> None:
        self.leave_stage()
        with captured_stderr() as stderr:
            self.assertEqual(repro.items(), [])
        self.assertEqual(stderr.getvalue(), "no items: not in a stage\n")
