#!/usr/bin/env python3
"""Measures scanning, hashing and storing files: python3 benches/files.py [NAME…]

    python3 benches/files.py                                   documented sizes; 6 GB, minutes
    python3 benches/files.py --files 20000 --bytes 1073741824  smaller
    python3 benches/files.py --in /dev/shm cold changed        cost without syncing

Each row runs repro and a peer alternately, several times. It prints the median CPU time (user and
system), the median of the ratios of all pairs, and the peak memory of repro itself, and then the
same by wall clock. The data are created in a temporary directory, with the same bytes each time.

The peers are walk (benches/walk.rs, which only reads names and stats on all processors), cp and
b3sum. dvc is measured for information if it is installed. A missing peer is omitted.
"""
import argparse
import hashlib
import itertools
import pathlib
import shutil
import subprocess

from measuring import CPU, HERE, REPRO, WALL, has, measure, row, run_rows

BOTH = (CPU, WALL)
INPUT = '[stages.input]\nouts = ["data"]\n'
READER = '[stages.count]\ncmd = "ls data | wc -l > n"\ndeps = ["data"]\nouts = ["n"]\n'


def write_files(folder, count, size=1024):
    """Writes `count` different files, a thousand per folder."""
    for i in range(count):
        if i % 1000 == 0:
            (folder / f"d{i // 1000:04}").mkdir(parents=True)
        content = hashlib.shake_128(str(i).encode()).digest(size)
        (folder / f"d{i // 1000:04}/f{i:07}").write_bytes(content)


def project(folder, count, text):
    """Creates a project with `count` files and the given `pipeline.toml`."""
    folder.mkdir()
    write_files(folder / "data", count)
    (folder / "pipeline.toml").write_text(text)
    return folder


def forget(root):
    for name in ["cache", "runs"]:
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "pipeline.lock").unlink(missing_ok=True)


def walker(work):
    """Compiles the peer that scans many files; returns `find` if there is no compiler."""
    if not has("rustc"):
        return ("find", "-size", "+0", "-printf", "%s")
    program = work / "walk"
    subprocess.run(["rustc", "-O", "-o", program, HERE / "benches/walk.rs"], check=True)
    return (program,)


def status(args, work):
    root = project(work / "status", args.files, INPUT + READER)
    measure(args.repro, "-C", root, "run")
    tool, *words = walker(work)
    peer = (tool, root / "data", *words)
    ours = (args.repro, "-C", root, "status")
    row(f"status, a dep of {args.files} files, warm", ours, peer, args.pairs, clocks=BOTH)


def cold(args, work):
    root = project(work / "cold", args.files, INPUT)
    copy = work / "copy"

    def reset():
        forget(root)
        shutil.rmtree(copy, ignore_errors=True)

    ours, peer = (args.repro, "-C", root, "run"), ("cp", "-r", root / "data", copy)
    name = f"{args.files} files of 1 KiB into the cache, cold"
    row(name, ours, peer, args.cold_pairs, reset, BOTH)


def changed(args, work):
    """Commits a tracked input after one of its files has changed."""
    root = project(work / "changed", args.many, INPUT)
    measure(args.repro, "-C", root, "run")
    turns = itertools.count()
    one = root / "data/d0000/f0000000"
    before = lambda: one.write_text(str(next(turns)))
    run = (args.repro, "-C", root, "run")
    row(f"one file changed of {args.many}: commit", run, None, args.pairs, before, BOTH)


def large(args, work):
    root = work / "large"
    root.mkdir()
    block = hashlib.shake_128(b"large").digest(8 << 20)
    with open(root / "big", "wb") as big:
        for i in range(args.bytes // len(block)):
            big.write(i.to_bytes(8, "little") + block[8:])
    text = '[stages.input]\nouts = [{ path = "big", cache = false }]\n'
    (root / "pipeline.toml").write_text(text)
    peer = ("b3sum", root / "big") if has("b3sum") else None
    ours = (args.repro, "-C", root, "status")
    row(f"hashing {args.bytes >> 20} MiB", ours, peer, args.cold_pairs, lambda: forget(root), BOTH)


def worktree(args, work):
    """Copies a project whose files are known to its stat index."""
    program = args.repro.parent / "examples/worktree"
    if not program.exists():
        print(f"no {program}: cargo build --release --example worktree")
        return
    root = project(work / "few", 1000, READER)
    measure(args.repro, "-C", root, "run")
    big = work / "big"
    big.mkdir()
    (big / "pipeline.toml").write_text(READER)
    (big / "data").mkdir()
    with open(big / "data/b", "wb") as data:
        for i in range(1 << 7):
            data.write(hashlib.shake_128(str(i).encode()).digest(8 << 20))
    measure(args.repro, "-C", big, "run")
    for name, root in [("1000 files of 1 KiB", root), ("one file of 1 GiB", big)]:
        copy = work / "copy"

        def reset():
            # Any command with the run lock removes what the last one has left.
            measure(args.repro, "-C", root, "run")
            shutil.rmtree(copy, ignore_errors=True)

        peer = ("cp", "-a", "--reflink=auto", root / "data", copy)
        row(f"worktree, {name}", (program, root), peer, args.cold_pairs, reset, BOTH)


def dvc(args, work):
    """Measures the same work with DVC, for information, if it is installed."""
    if not has("dvc"):
        return
    root = project(work / "dvc", args.files, "")
    measure("dvc", "--cd", root, "init", "--no-scm")
    row(f"dvc add, {args.files} files, cold", ("dvc", "--cd", root, "add", "data"), None, 1)
    row(f"dvc status, {args.files} files, warm", ("dvc", "--cd", root, "status"), None, 3)
    turns = itertools.count()
    one = root / "data/d0000/f0000000"
    before = lambda: one.write_text(str(next(turns)))
    add = ("dvc", "--cd", root, "add", "data")
    row(f"dvc add, one file changed of {args.files}", add, None, 3, before, BOTH)


ROWS = {
    "status": status,
    "cold": cold,
    "changed": changed,
    "large": large,
    "worktree": worktree,
    "dvc": dvc,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"rows: {', '.join(ROWS)} [default: all]")
    parser.add_argument("--repro", type=pathlib.Path, default=REPRO, help="program to measure")
    parser.add_argument("--pairs", type=int, default=9, help="number of alternating runs")
    parser.add_argument("--cold-pairs", type=int, default=3, help="the same for slow rows")
    parser.add_argument("--files", type=int, default=100_000, help="files of `status` and `cold`")
    parser.add_argument("--many", type=int, default=300_000, help="files of `changed`")
    parser.add_argument("--bytes", type=int, default=4 << 30, help="size of the file of `large`")
    parser.add_argument("--in", dest="folder", help="working directory [default: temporary]")
    args = parser.parse_args()
    args.repro = args.repro.resolve()
    rows = {name: lambda work, row=row: row(args, work) for name, row in ROWS.items()}
    run_rows(rows, args.names, args.folder)
