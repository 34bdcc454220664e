#!/usr/bin/env python3
"""Measures repro and comparable tools on pipelines: python3 benches/speed.py [NAME…]

Each row runs repro and a peer alternately, several times. It prints the median CPU time (user and
system, including child processes), the median of the ratios of all pairs, and the peak memory of
repro itself. The data are created in a temporary directory, with the same bytes each time, and each
tool has its own copy.

The peers are ninja and make if they are installed. `--peers ninja,make,dvc,snakemake` adds more;
these take minutes, so they run once. The row `durable` compares repro on the disk with repro in
/dev/shm, where syncing is free: the difference is the cost of durability.

benches/files.py measures large numbers of files.
"""
import argparse
import hashlib
import os
import pathlib
import tempfile

from measuring import CPU, REPRO, WALL, has, measure, row, run_rows

JOBS = 2
MEMORY = pathlib.Path("/dev/shm")
WIDTHS = {1: 1, 1_000: 25, 10_000: 100}
PEERS = ["ninja", "make", "dvc", "snakemake"]
SLOW = {"dvc", "snakemake"}


def grid(count):
    """Returns a layered DAG of `count` stages as (command, deps, out).

    Each stage reads two outs of the layer above. The last stage also reads `src/leaf`.
    """
    width = WIDTHS[count]
    stages = []
    for i in range(count):
        layer, column = divmod(i, width)
        above = sorted({column, (column + 1) % width})
        deps = [f"src/{c}" if layer == 0 else f"out/{(layer - 1) * width + c}" for c in above]
        if i == count - 1:
            deps.append("src/leaf")
        stages.append((f"cksum {' '.join(deps)} > out/{i}", deps, f"out/{i}"))
    return stages


def goals(stages):
    read = {dep for _, deps, _ in stages for dep in deps}
    return [out for _, _, out in stages if out not in read]


def quoted(paths):
    return ", ".join(f'"{path}"' for path in paths)


def for_repro(stages):
    stage = '[stages.s{}]\ncmd = "{}"\ndeps = [{}]\nouts = ["{}"]\n'
    texts = [stage.format(i, cmd, quoted(deps), out) for i, (cmd, deps, out) in enumerate(stages)]
    return "pipeline.toml", "\n".join(texts)


def for_ninja(stages):
    builds = [f"build {out}: r {' '.join(deps)}" for _, deps, out in stages]
    return "build.ninja", "\n".join(["rule r", "  command = cksum $in > $out", *builds]) + "\n"


def for_make(stages):
    rules = [f"{out}: {' '.join(deps)}\n\t{cmd}" for cmd, deps, out in stages]
    return "Makefile", "\n".join([f"all: {' '.join(goals(stages))}", *rules]) + "\n"


def for_dvc(stages):
    stage = "  s{}:\n    cmd: {}\n    deps: [{}]\n    outs: [{}]"
    numbered = enumerate(stages)
    texts = [stage.format(i, cmd, ", ".join(deps), out) for i, (cmd, deps, out) in numbered]
    return "dvc.yaml", "\n".join(["stages:", *texts]) + "\n"


def for_snakemake(stages):
    rule = 'rule s{}:\n    input: {}\n    output: "{}"\n    shell: "{}"'
    texts = [rule.format(i, quoted(deps), out, cmd) for i, (cmd, deps, out) in enumerate(stages)]
    return "Snakefile", "\n".join([f"rule all:\n    input: {quoted(goals(stages))}", *texts]) + "\n"


WRITERS = {
    "repro": for_repro,
    "ninja": for_ninja,
    "make": for_make,
    "dvc": for_dvc,
    "snakemake": for_snakemake,
}


def command(tool, root):
    """Returns the command that brings everything in `root` up to date."""
    return {
        "ninja": ["ninja", "-C", root, f"-j{JOBS}"],
        "make": ["make", "-C", root, f"-j{JOBS}"],
        "dvc": ["dvc", "--cd", root, "repro", "-q"],
        "snakemake": ["snakemake", "-d", root, "-s", root / "Snakefile", f"-j{JOBS}", "-q"],
    }[tool]


def write_grid(folder, count, tools):
    """Writes the same pipeline for each tool, in its own folder."""
    stages = grid(count)
    for tool in tools:
        root = folder / tool
        (root / "src").mkdir(parents=True)
        (root / "out").mkdir()
        for source in {dep for _, deps, _ in stages for dep in deps if dep.startswith("src/")}:
            (root / source).write_text(hashlib.sha256(source.encode()).hexdigest() * 4)
        name, text = WRITERS[tool](stages)
        (root / name).write_text(text)
        if tool == "dvc":
            measure("dvc", "--cd", root, "init", "--no-scm", "-q")


def pipelines(repro, work, count, pairs, peers):
    write_grid(work, count, ["repro", *peers])
    ours = work / "repro"
    run, status = (repro, "-C", ours, "run", f"-j{JOBS}"), (repro, "-C", ours, "status")
    turns = iter(range(1_000_000))

    def touch():
        text = f"leaf {next(turns)}\n"
        for tool in ["repro", *peers]:
            (work / tool / "src/leaf").write_text(text)

    def reset():
        for name in ["cache", "runs", "pipeline.lock", "out"]:
            measure("rm", "-rf", ours / name)

    if not peers:
        row(f"first run, {count} stages", run, None, 1)
        row(f"no-op run, {count} stages", run, None, pairs)
    for peer in peers:
        other, times = command(peer, work / peer), 1 if peer in SLOW else pairs
        row(f"first run, {count} stages", run, other, 1, reset)
        row(f"no-op run, {count} stages", run, other, times)
        dvc_status = ["dvc", "--cd", work / peer, "status", "-q"]
        row(f"status, {count} stages", status, dvc_status if peer == "dvc" else other, times)
        row(f"one leaf changed of {count} stages", run, other, times, touch)


def durable(repro, work, pairs):
    """Measures the cost of syncing: the same run on the disk and in /dev/shm."""
    if not MEMORY.is_dir() or os.stat(work).st_dev == os.stat(MEMORY).st_dev:
        return
    with tempfile.TemporaryDirectory(prefix="repro-bench-", dir=MEMORY) as memory:
        folders = [work, pathlib.Path(memory)]
        for folder in folders:
            write_grid(folder, 1_000, ["repro"])

        def reset():
            for folder in folders:
                for name in ["cache", "runs", "pipeline.lock", "out"]:
                    measure("rm", "-rf", folder / "repro" / name)

        disk, memory = ((repro, "-C", folder / "repro", "run", f"-j{JOBS}") for folder in folders)
        row("first run, 1000 stages, disk : memory", disk, memory, pairs, reset, (CPU, WALL))


def one_stage(repro, work, pairs):
    write_grid(work, 1, ["repro"])
    run = (repro, "-C", work / "repro", "run")
    measure(*run)
    row("no-op run, one stage", run, None, pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="rows: one, small, big, durable [default: all]")
    parser.add_argument("--repro", type=pathlib.Path, default=REPRO, help="program to measure")
    parser.add_argument("--pairs", type=int, default=9, help="number of alternating runs")
    parser.add_argument("--in", dest="folder", help="working directory [default: temporary]")
    parser.add_argument("--peers", default="ninja,make", help=f"any of: {', '.join(PEERS)}")
    args = parser.parse_args()
    repro = args.repro.resolve()
    wanted = args.peers.split(",")
    peers = [peer for peer in PEERS if peer in wanted and has(peer)]
    os.environ["DVC_NO_ANALYTICS"] = "1"
    fast_peers = [peer for peer in peers if peer not in SLOW]
    rows = {
        "one": lambda work: one_stage(repro, work, args.pairs),
        "durable": lambda work: durable(repro, work, min(args.pairs, 3)),
        "small": lambda work: pipelines(repro, work, 1_000, args.pairs, peers),
        "big": lambda work: pipelines(repro, work, 10_000, args.pairs, fast_peers),
    }
    run_rows(rows, args.names, args.folder)
