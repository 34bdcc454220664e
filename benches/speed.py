#!/usr/bin/env python3
"""What repro costs, and what others cost for the same work: python3 benches/speed.py [NAME…]

Each row runs repro and a peer in turn, several times, and prints the median CPU time (user + system, of the process and all
that it waited for), the median of the ratios pair by pair, and the peak memory of repro itself. Peers: ninja for pipelines;
find, cp and b3sum for files. A peer that is not installed is left out. The data are made anew in a temporary directory, the
same bytes each time.
"""
import argparse
import hashlib
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent


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


def write_files(folder, count, size=1024):
    """`count` files that all differ, a thousand a folder."""
    for i in range(count):
        if i % 1000 == 0:
            (folder / f"d{i // 1000:04}").mkdir(parents=True)
        (folder / f"d{i // 1000:04}/f{i:07}").write_bytes(hashlib.shake_128(str(i).encode()).digest(size))


def project_of_files(folder, count):
    """A tracked input of many files and a stage that reads it."""
    folder.mkdir()
    write_files(folder / "data", count)
    stage = '[stages.count]\ncmd = "ls data | wc -l > n"\ndeps = ["data"]\nouts = ["n"]\n'
    (folder / "pipeline.toml").write_text('[stages.input]\nouts = ["data"]\n' + stage)
    return folder


def measure(*command):
    """CPU seconds, wall seconds and peak MB of one command."""
    command = [str(word) for word in command]
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=null)
    _, status, used = os.wait4(pid, 0)
    took = time.perf_counter() - began
    if status != 0:
        sys.exit(f"{' '.join(command)}: {status}")
    return used.ru_utime + used.ru_stime, took, used.ru_maxrss / 1024


def row(name, ours, peer, pairs, before=lambda: None, what=0):
    """Runs both in turn; `what` is 0 for CPU time and 1 for wall time."""
    results = []
    for _ in range(pairs):
        before()
        results.append((measure(*ours), measure(*peer) if peer else None))
    mine = statistics.median(own[what] for own, _ in results)
    line = f"{name:44} {mine * 1000:9.1f} ms {max(own[2] for own, _ in results):6.0f} MB"
    if peer:
        theirs = statistics.median(other[what] for _, other in results)
        ratio = statistics.median(own[what] / max(other[what], 1e-4) for own, other in results)
        line += f"   {peer[0].split()[0]:6} {theirs * 1000:9.1f} ms   ratio {ratio:5.2f}"
    print(line + ("   (wall)" if what else ""), flush=True)


def has(tool):
    return shutil.which(tool) is not None


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


def files(repro, work, count, pairs):
    root = project_of_files(work / "files", count)
    run = (repro, "-C", root, "run")
    row(f"{count} files of 1 KiB into the cache, cold", run, ("cp", "-r", root / "data", work / "copy"), 1)
    measure(*run)
    walk = ("find", root / "data", "-type", "f", "-size", "+0", "-printf", "%s")
    row(f"status, a dep of {count} files, warm", (repro, "-C", root, "status"), walk, pairs)
    turns = iter(range(1_000_000))
    one = root / "data/d0000/f0000000"
    row(f"one file changed of {count}", run, None, 3, lambda: one.write_text(str(next(turns))), 1)


def large(repro, work, size):
    root = work / "large"
    root.mkdir()
    block = hashlib.shake_128(b"large").digest(8 << 20)
    with open(root / "big", "wb") as big:
        for i in range(size // len(block)):
            big.write(i.to_bytes(8, "little") + block[8:])
    (root / "pipeline.toml").write_text('[stages.input]\nouts = [{ path = "big", cache = false }]\n')
    peer = ("b3sum", root / "big") if has("b3sum") else None
    again = lambda: [shutil.rmtree(root / name, ignore_errors=True) for name in ["cache", "runs"]]
    row(f"hashing {size >> 20} MiB", (repro, "-C", root, "status"), peer, 3, again)


JOBS = 2

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of: small, big, one, files, large [default: all]")
    parser.add_argument("--repro", default=HERE / "target/release/repro", help="the program to measure")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=4 << 30)
    args = parser.parse_args()
    repro = pathlib.Path(args.repro).resolve()
    rows = {
        "one": lambda work: one_stage(repro, work, args.pairs),
        "small": lambda work: pipelines(repro, work, 1_000, args.pairs),
        "big": lambda work: pipelines(repro, work, 10_000, args.pairs),
        "files": lambda work: files(repro, work, args.files, args.pairs),
        "large": lambda work: large(repro, work, args.bytes),
    }
    print(f"{os.uname().sysname} {os.uname().release}, {os.cpu_count()} processors, -j{JOBS}; medians; CPU time unless said")
    for name in args.names or rows:
        with tempfile.TemporaryDirectory(prefix="repro-speed-") as work:
            rows[name](pathlib.Path(work))
