#!/usr/bin/env python3
"""Measures finding runs in a large history: python3 benches/runs.py [NAME…]

    python3 benches/runs.py                     30,000 runs of 100 metrics; minutes
    python3 benches/runs.py --runs 3000 list    smaller, one row

Prints the median wall time of commands and their peak memory. The history is written straight into
the run store, with the same values each time. The first run of the project creates the tables.
"""
import argparse
import pathlib
import random
import sqlite3

from measuring import REPRO, WALL, measure, row, run_rows

PIPELINE = """
[metrics]
accuracy = { goal = "max" }
loss = { goal = "min" }

[stages.first]
cmd = "true"
"""
STAGES = ["train", "evaluate@small", "evaluate@large", "export"]


def history(args, folder):
    """Creates a project with a large history."""
    folder.mkdir()
    (folder / "pipeline.toml").write_text(PIPELINE)
    measure(args.repro, "-C", folder, "run")
    db = sqlite3.connect(folder / "runs/runs.db")
    db.execute("PRAGMA foreign_keys = OFF")
    random.seed(7)
    keys = [(stage, key) for stage in STAGES for key in ["accuracy", "loss"]]
    keys += [(STAGES[i % 4], f"metric_{i:03}") for i in range(args.metrics - len(keys))]
    keys.sort()
    for n in range(2, args.runs + 2):
        status = "failed" if n % 10 == 0 else "ok"
        at = 1_760_000_000_000 + n * 1000
        took = random.randrange(1000, 10_000_000)
        db.execute(
            "INSERT INTO runs (number, uid, status, started, ended, took, pipeline, command,"
            " overrides, host, kind) VALUES (?,?,?,?,?,?,?,?,?,?,'pipeline')",
            (n, f"{n:032x}", status, at, at + took, took, "bench", '["repro", "run"]', "[]", "ws"),
        )
        values = ((n, stage, key, random.random()) for stage, key in keys)
        db.executemany("INSERT INTO metrics (run, stage, key, value) VALUES (?,?,?,?)", values)
        params = [(n, "model", random.choice(['"small"', '"large"']))]
        params += [(n, f"train.param_{i:02}", str(random.randrange(100))) for i in range(20)]
        db.executemany("INSERT INTO params (run, key, value) VALUES (?,?,?)", params)
        stages = ((n, stage, "ran", at, took) for stage in STAGES)
        insert = "INSERT INTO stages (run, stage, outcome, started, took) VALUES (?,?,?,?,?)"
        db.executemany(insert, stages)
        db.execute("INSERT INTO tags (run, key, value) VALUES (?, 'team', ?)", (n, f"t{n % 5}"))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return folder


FILTER = "metrics.evaluate.accuracy > 0.7 and params.model = 'small' and status = 'ok'"
ROWS = {
    "list": ("the latest 20 runs", []),
    "filter": ("filter by metric, param, status", ["--filter", FILTER]),
    "sort": ("sort by a metric", ["--sort", "evaluate.accuracy"]),
    "param": ("sort by a param, filter by a tag",
              ["--sort", "train.param_07:desc", "--filter", "tags.team = 't3'"]),
    "columns": ("filter, sort, chosen columns",
                ["--filter", FILTER, "--sort", "train.loss",
                 "--columns", "run,status,metrics.train.*,params.*"]),
    "all": ("all runs, five columns",
            ["-n", "0", "--csv", "--columns", "run,status,started,evaluate.accuracy,model"]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*ROWS, "best", []], metavar="NAME")
    parser.add_argument("--runs", type=int, default=30_000)
    parser.add_argument("--metrics", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--repro", type=pathlib.Path, default=REPRO)
    args = parser.parse_args()

    def all_rows(work):
        root = history(args, work / "history")
        size = sum(path.stat().st_size for path in (root / "runs").glob("runs.db*"))
        print(f"{args.runs} runs of {args.metrics} metrics: {size / 1e6:.0f} MB")
        for name in args.names or [*ROWS, "best"]:
            if name == "best":
                words = ["best", "evaluate.accuracy"]
                title = "the best run"
            else:
                title, options = ROWS[name]
                words = ["list", *options]
            ours = (args.repro, "-C", root, "runs", *words)
            row(title, ours, None, args.pairs, clocks=(WALL,))

    run_rows({"history": all_rows}, [])


if __name__ == "__main__":
    main()
