#!/usr/bin/env python3
"""What pipelines cost, and what others take for the same work: python3 benches/speed.py [NAME…] (of files: benches/files.py)

Each row runs repro and a peer in turn, several times, and prints the median CPU time (user + system, of the process and all
that it waited for), the median of the ratios pair by pair, and the peak memory of repro itself. The data are made anew in a
temporary directory, the same bytes each time; every tool has a copy of its own. The peers are ninja and make, as far as they
are installed; `--peers ninja,make,dvc,snakemake` asks for more, which take minutes and are therefore run once. The row `durable` is
repro on the disk against repro in /dev/shm, where syncing is free: what durability costs.
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
    """A DAG of `count` stages in layers, as (command, deps, out): each reads two of the layer above, the last one a leaf of its own, too."""
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
    texts = [stage.format(i, cmd, ", ".join(deps), out) for i, (cmd, deps, out) in enumerate(stages)]
    return "dvc.yaml", "\n".join(["stages:", *texts]) + "\n"


def for_snakemake(stages):
    rule = 'rule s{}:\n    input: {}\n    output: "{}"\n    shell: "{}"'
    texts = [rule.format(i, quoted(deps), out, cmd) for i, (cmd, deps, out) in enumerate(stages)]
    return "Snakefile", "\n".join([f"rule all:\n    input: {quoted(goals(stages))}", *texts]) + "\n"


WRITERS = {"repro": for_repro, "ninja": for_ninja, "make": for_make, "dvc": for_dvc, "snakemake": for_snakemake}


def command(tool, root):
    """What brings everything in `root` up to date."""
    return {
        "ninja": ["ninja", "-C", root, f"-j{JOBS}"],
        "make": ["make", "-C", root, f"-j{JOBS}"],
        "dvc": ["dvc", "--cd", root, "repro", "-q"],
        "snakemake": ["snakemake", "-d", root, "-s", root / "Snakefile", f"-j{JOBS}", "-q"],
    }[tool]


def write_grid(folder, count, tools):
    """The same work for each tool, in a folder of its own."""
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

    def anew():
        for name in ["cache", "runs", "pipeline.lock", "out"]:
            measure("rm", "-rf", ours / name)

    if not peers:
        row(f"first run, {count} stages", run, None, 1)
        row(f"no-op run, {count} stages", run, None, pairs)
    for peer in peers:
        other, times = command(peer, work / peer), 1 if peer in SLOW else pairs
        row(f"first run, {count} stages", run, other, 1, anew)
        row(f"no-op run, {count} stages", run, other, times)
        row(f"status, {count} stages", status, ["dvc", "--cd", work / peer, "status", "-q"] if peer == "dvc" else other, times)
        row(f"one leaf changed of {count} stages", run, other, times, touch)


def durable(repro, work, pairs):
    """What it costs that the disk has everything: the same run where syncing is free, in a file system in memory."""
    if not MEMORY.is_dir() or os.stat(work).st_dev == os.stat(MEMORY).st_dev:
        return
    with tempfile.TemporaryDirectory(prefix="repro-bench-", dir=MEMORY) as memory:
        folders = [work, pathlib.Path(memory)]
        for folder in folders:
            write_grid(folder, 1_000, ["repro"])

        def anew():
            for folder in folders:
                for name in ["cache", "runs", "pipeline.lock", "out"]:
                    measure("rm", "-rf", folder / "repro" / name)

        disk, memory = ((repro, "-C", folder / "repro", "run", f"-j{JOBS}") for folder in folders)
        row("first run, 1000 stages, synced : not", disk, memory, pairs, anew, (CPU, WALL))


def one_stage(repro, work, pairs):
    write_grid(work, 1, ["repro"])
    run = (repro, "-C", work / "repro", "run")
    measure(*run)
    row("no-op run, one stage", run, None, pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of: one, small, big, durable [default: all]")
    parser.add_argument("--repro", type=pathlib.Path, default=REPRO, help="the program to measure")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--in", dest="folder", help="where to work [default: the temporary directory]")
    parser.add_argument("--peers", default="ninja,make", help=f"of: {', '.join(PEERS)}")
    args = parser.parse_args()
    repro = args.repro.resolve()
    wanted = args.peers.split(",")
    peers = [peer for peer in PEERS if peer in wanted and has(peer)]
    os.environ["DVC_NO_ANALYTICS"] = "1"
    rows = {
        "one": lambda work: one_stage(repro, work, args.pairs),
        "durable": lambda work: durable(repro, work, min(args.pairs, 3)),
        "small": lambda work: pipelines(repro, work, 1_000, args.pairs, peers),
        "big": lambda work: pipelines(repro, work, 10_000, args.pairs, [peer for peer in peers if peer not in SLOW]),
    }
    run_rows(rows, args.names, args.folder)
