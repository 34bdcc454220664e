#!/usr/bin/env python3
"""Measures what logged points cost: python3 benches/points.py [NAME…] [--mlflow PYTHON]

stored      a stage logs 100,000 points: the time from its end to the end of the run, by which all
            points are stored, and the time of the whole run. Beside it MLflow's client, which logs
            as many points in batches of 1,000 to its SQLite store.
stage       a stage logs 1,000,000 points: its own duration with `repro run`, and that of the same
            program writing the same lines to a file, without repro. Alternately, several pairs.
            The stage is single-threaded, so on an idle machine the recorder has a processor of its
            own; the difference is what recording costs the stage.
list        `repro runs list` and `repro metrics show` of a store with one run of 5,000,000 points,
            and of a store with one run of 5. Alternately, several pairs.

`--mlflow PYTHON` names an interpreter that has mlflow; without it, that column is left out.
"""
import argparse
import os
import pathlib
import sqlite3
import statistics
import subprocess
import tempfile
import time

from measuring import REPRO, measure

PAIRS = 5

LOGGER = """
import os, sys, time
began = time.perf_counter()
count, path = int(sys.argv[1]), sys.argv[2]
with open(path, "a") as events:
    for step in range(count):
        events.write('{"metric":"loss","step":%d,"value":%r}\\n' % (step, 1 / (step + 1)))
with open(sys.argv[3], "w") as out:
    out.write(f"{time.perf_counter() - began} {time.time()}")
"""

MLFLOW = """
import sys, time, mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
count = int(sys.argv[1])
mlflow.set_tracking_uri("sqlite:///mlflow.db")
client = MlflowClient()
run = client.create_run(client.create_experiment("bench")).info.run_id
began = time.perf_counter()
for start in range(0, count, 1000):
    points = [Metric("loss", 1 / (step + 1), 0, step) for step in range(start, start + 1000)]
    client.log_batch(run, metrics=points)
print(time.perf_counter() - began)
"""


def project(folder, count):
    folder.mkdir()
    (folder / "log.py").write_text(LOGGER)
    command = f"python3 log.py {count} $REPRO_EVENTS took"
    stage = f'[stages.log]\ncmd = "{command}"\nouts = ["took"]\n'
    (folder / "pipeline.toml").write_text(stage)
    return folder


def run(folder):
    """Runs the stage again; returns its own seconds, the seconds after its end, and all seconds."""
    began = time.perf_counter()
    command = [REPRO, "-C", folder, "run", "--force"]
    subprocess.run(command, check=True, capture_output=True)
    ended, took = time.time(), time.perf_counter() - began
    own, stage_ended = map(float, (folder / "took").read_text().split())
    return own, ended - stage_ended, took


def points(folder):
    with sqlite3.connect(folder / "runs/runs.db") as store:
        return store.execute("SELECT count(*) FROM points").fetchone()[0]


def stored(work, mlflow):
    count = 100_000
    times = []
    for pair in range(PAIRS):
        folder = project(work / f"repro-{pair}", count)
        times.append(run(folder))
        assert points(folder) == count
    after, whole = (statistics.median(each[at] for each in times) for at in (1, 2))
    print(f"stored: {count} points: {after:.2f} s after the stage ended, {whole:.2f} s in all")
    if mlflow:
        program = work / "client.py"
        program.write_text(MLFLOW)
        command = [mlflow, program, str(count)]
        done = subprocess.run(command, cwd=work, check=True, capture_output=True, text=True)
        theirs = float(done.stdout.split()[-1])
        print(f"stored: mlflow's client: {theirs:.2f} s, ratio {whole / theirs:.3f}")


def stage(work, mlflow):
    count = 1_000_000
    folder = project(work / "repro", count)
    recorded, bare = [], []
    for pair in range(PAIRS):
        recorded.append(run(folder)[0])
        program = ["python3", folder / "log.py", str(count), work / f"events-{pair}", work / "took"]
        subprocess.run(program, check=True)
        bare.append(float((work / "took").read_text().split()[0]))
    assert points(folder) == PAIRS * count
    ratio = statistics.median(ours / theirs for ours, theirs in zip(recorded, bare))
    ours, theirs = statistics.median(recorded), statistics.median(bare)
    print(f"stage: {count} points: {ours:.2f} s recorded, {theirs:.2f} s bare, ratio {ratio:.2f}")


def listed(work, mlflow):
    many, few = (project(work / name, count) for name, count in (("many", 5_000_000), ("few", 5)))
    run(many), run(few)
    assert points(many) == 5_000_000
    for args in (["runs", "list"], ["metrics", "show"], ["runs", "show", "--json"]):
        pairs = []
        for _ in range(PAIRS):
            pairs.append([measure(REPRO, "-C", folder, *args)[:2] for folder in (many, few)])
        cpu = [statistics.median(pair[at][0] for pair in pairs) * 1000 for at in (0, 1)]
        wall = [statistics.median(pair[at][1] for pair in pairs) * 1000 for at in (0, 1)]
        text = f"list: {' '.join(args)}: {cpu[0]:.1f} ms CPU with 5,000,000 points, {cpu[1]:.1f} ms"
        print(f"{text} with 5; wall {wall[0]:.1f} and {wall[1]:.1f} ms")


def main():
    rows = {"stored": stored, "stage": stage, "list": listed}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(rows))
    parser.add_argument("--mlflow", metavar="PYTHON")
    args = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; medians of {PAIRS}")
    for name in args.names or rows:
        with tempfile.TemporaryDirectory(prefix="repro-bench-") as work:
            rows[name](pathlib.Path(work), args.mlflow)


if __name__ == "__main__":
    main()
