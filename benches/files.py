#!/usr/bin/env python3
"""What files cost: looking at them, hashing them, keeping them. python3 benches/files.py [NAME…]

    python3 benches/files.py                                  the sizes that are promised; 6 GB of disk, some minutes
    python3 benches/files.py --files 20000 --bytes 1073741824 smaller
    python3 benches/files.py --in /dev/shm cold changed       where syncing is free: what the rest costs

Each row runs repro and a peer in turn, several times, and prints the median CPU time (user + system), the median of the
ratios pair by pair, and the peak memory of repro itself; and a second row by the wall clock. Peers: walk (benches/walk.rs:
names and stats on all processors and nothing else), cp and b3sum; and dvc, for information, where it is installed. A peer that
is missing is left out. The data are made anew in a temporary directory, the same bytes each time.
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
    """`count` files that all differ, a thousand a folder."""
    for i in range(count):
        if i % 1000 == 0:
            (folder / f"d{i // 1000:04}").mkdir(parents=True)
        (folder / f"d{i // 1000:04}/f{i:07}").write_bytes(hashlib.shake_128(str(i).encode()).digest(size))


def project(folder, count, text):
    """A project over a folder of many files."""
    folder.mkdir()
    write_files(folder / "data", count)
    (folder / "pipeline.toml").write_text(text)
    return folder


def forget(root):
    for name in ["cache", "runs"]:
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "pipeline.lock").unlink(missing_ok=True)


def walker(work):
    """The peer of a look at many files; find where there is no compiler."""
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
    row(f"status, a dep of {args.files} files, warm", (args.repro, "-C", root, "status"), peer, args.pairs, clocks=BOTH)


def cold(args, work):
    root = project(work / "cold", args.files, INPUT)
    copy = work / "copy"

    def anew():
        forget(root)
        shutil.rmtree(copy, ignore_errors=True)

    ours, peer = (args.repro, "-C", root, "run"), ("cp", "-r", root / "data", copy)
    row(f"{args.files} files of 1 KiB into the cache, cold", ours, peer, args.cold_pairs, anew, BOTH)


def changed(args, work):
    """A tracked input of which one file changes."""
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
    (root / "pipeline.toml").write_text('[stages.input]\nouts = [{ path = "big", cache = false }]\n')
    peer = ("b3sum", root / "big") if has("b3sum") else None
    ours = (args.repro, "-C", root, "status")
    row(f"hashing {args.bytes >> 20} MiB", ours, peer, args.cold_pairs, lambda: forget(root), BOTH)


def dvc(args, work):
    """The same work done by DVC, where it is installed: for information."""
    if not has("dvc"):
        return
    root = project(work / "dvc", args.files, "")
    measure("dvc", "--cd", root, "init", "--no-scm")
    row(f"dvc add, {args.files} files, cold", ("dvc", "--cd", root, "add", "data"), None, 1)
    row(f"dvc status, {args.files} files, warm", ("dvc", "--cd", root, "status"), None, 3)
    turns = itertools.count()
    one = root / "data/d0000/f0000000"
    before = lambda: one.write_text(str(next(turns)))
    row(f"dvc add, one file changed of {args.files}", ("dvc", "--cd", root, "add", "data"), None, 3, before, BOTH)


ROWS = {"status": status, "cold": cold, "changed": changed, "large": large, "dvc": dvc}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(ROWS)} [default: all]")
    parser.add_argument("--repro", type=pathlib.Path, default=REPRO, help="the program to measure")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--cold-pairs", type=int, default=3, help="for what takes seconds")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=300_000, help="of which one changes")
    parser.add_argument("--bytes", type=int, default=4 << 30)
    parser.add_argument("--in", dest="folder", help="where to work [default: the temporary directory]")
    args = parser.parse_args()
    args.repro = args.repro.resolve()
    run_rows({name: lambda work, one=one: one(args, work) for name, one in ROWS.items()}, args.names, args.folder)
