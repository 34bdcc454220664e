#!/usr/bin/env python3
"""What pipelines cost, and what ninja costs for the same work: python3 benches/speed.py [NAME…] (of files: benches/files.py)

Each row runs repro and ninja in turn, several times, and prints the median CPU time (user + system, of the process and all
that it waited for), the median of the ratios pair by pair, and the peak memory of repro itself. Without ninja there are no
ratios. The data are made anew in a temporary directory, the same bytes each time.
"""
import argparse
import hashlib
import pathlib

from measuring import REPRO, has, measure, row, run_rows


def grid(count):
    """A DAG of `count` stages in columns, each reading two of the layer above; the last one reads a leaf of its own."""
    width = max(2, round(count**0.5))
    stages = []
    for i in range(count):
        layer, column = divmod(i, width)
        above = [column, (column + 1) % width]
        deps = [f"src/{c}" if layer == 0 else f"out/{(layer - 1) * width + c}" for c in above]
        if i == count - 1:
            deps.append("src/leaf")
        stages.append((deps, f"out/{i}"))
    return stages


def write_grid(folder, count):
    """The same work for repro and for ninja, each in a folder of its own."""
    stages = grid(count)
    for tool in ["repro", "ninja"]:
        root = folder / tool
        (root / "src").mkdir(parents=True)
        (root / "out").mkdir()
        for source in {dep for deps, _ in stages for dep in deps if dep.startswith("src/")}:
            (root / source).write_text(hashlib.sha256(source.encode()).hexdigest() * 4)
    toml, ninja = [], ["rule r", "  command = cksum $in > $out"]
    for i, (deps, out) in enumerate(stages):
        listed = ", ".join(f'"{dep}"' for dep in deps)
        toml += [f"[stages.s{i}]", f'cmd = "cksum {" ".join(deps)} > {out}"', f"deps = [{listed}]", f'outs = ["{out}"]', ""]
        ninja.append(f"build {out}: r {' '.join(deps)}")
    (folder / "repro/pipeline.toml").write_text("\n".join(toml))
    (folder / "ninja/build.ninja").write_text("\n".join(ninja) + "\n")
    return folder / "repro", folder / "ninja"


def pipelines(repro, work, count, pairs):
    ours, other = write_grid(work / f"grid{count}", count)
    ninja = ("ninja", "-C", other, f"-j{JOBS}") if has("ninja") else None
    run = (repro, "-C", ours, "run", f"-j{JOBS}")
    row(f"first run, {count} stages", run, ninja, 1)
    measure(*run)
    row(f"no-op run, {count} stages", run, ninja, pairs)
    row(f"status, {count} stages", (repro, "-C", ours, "status"), ninja, pairs)
    turns = iter(range(1_000_000))

    def touch():
        text = f"leaf {next(turns)}\n"
        for root in (ours, other):
            (root / "src/leaf").write_text(text)

    row(f"one leaf changed of {count} stages", run, ninja, pairs, touch)


def one_stage(repro, work, pairs):
    ours, _ = write_grid(work / "one", 1)
    measure(repro, "-C", ours, "run")
    row("no-op run, one stage", (repro, "-C", ours, "run"), None, pairs)


JOBS = 2

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of: one, small, big [default: all]")
    parser.add_argument("--repro", type=pathlib.Path, default=REPRO, help="the program to measure")
    parser.add_argument("--pairs", type=int, default=9)
    args = parser.parse_args()
    repro = args.repro.resolve()
    rows = {
        "one": lambda work: one_stage(repro, work, args.pairs),
        "small": lambda work: pipelines(repro, work, 1_000, args.pairs),
        "big": lambda work: pipelines(repro, work, 10_000, args.pairs),
    }
    run_rows(rows, args.names)
