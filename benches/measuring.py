"""What the benchmarks share: one command measured, and rows of ours against a peer, run in turn."""
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
REPRO = HERE / "target/release/repro"
CPU, WALL = 0, 1


def has(tool):
    return shutil.which(tool) is not None


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


def row(name, ours, peer, pairs, before=lambda: None, clocks=(CPU,)):
    """Runs both in turn and prints medians by each clock; the ratio is the median of those pair by pair."""
    results = []
    for _ in range(pairs):
        before()
        results.append((measure(*ours), measure(*peer) if peer else None))
    for clock in clocks:
        mine = statistics.median(own[clock] for own, _ in results)
        line = f"{name:44} {mine * 1000:9.1f} ms {max(own[2] for own, _ in results):6.0f} MB"
        if peer:
            theirs = statistics.median(other[clock] for _, other in results)
            ratio = statistics.median(own[clock] / max(other[clock], 1e-4) for own, other in results)
            line += f"   {pathlib.Path(str(peer[0])).name:6} {theirs * 1000:9.1f} ms   ratio {ratio:5.2f}"
        print(line + ("   (wall)" if clock == WALL else ""), flush=True)


def run_rows(rows, names, folder=None):
    """Each of the named rows in a temporary directory of its own."""
    print(f"{os.uname().sysname} {os.uname().release}, {os.cpu_count()} processors; medians; CPU time unless said")
    for name in names or rows:
        with tempfile.TemporaryDirectory(prefix="repro-bench-", dir=folder) as work:
            rows[name](pathlib.Path(work))
