"""Shared by the benchmarks: measures commands, and prints rows that compare repro with a peer."""
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
    """Runs a command and returns its CPU seconds, wall seconds and peak memory in MB."""
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
    """Runs both commands alternately and prints the medians of each clock.

    The ratio is the median of the ratios of all pairs.
    """
    results = []
    for _ in range(pairs):
        before()
        results.append((measure(*ours), measure(*peer) if peer else None))
    for clock in clocks:
        mine = statistics.median(own[clock] for own, _ in results)
        line = f"{name:44} {mine * 1000:9.1f} ms {max(own[2] for own, _ in results):6.0f} MB"
        if peer:
            theirs = statistics.median(other[clock] for _, other in results)
            ratios = [own[clock] / max(other[clock], 1e-4) for own, other in results]
            ratio = statistics.median(ratios)
            tool = pathlib.Path(str(peer[0])).name
            line += f"   {tool:6} {theirs * 1000:9.1f} ms   ratio {ratio:5.2f}"
        print(line + ("   (wall)" if clock == WALL else ""), flush=True)


def run_rows(rows, names, folder=None):
    """Runs each of the named rows in its own temporary directory; all rows if `names` is empty."""
    system = f"{os.uname().sysname} {os.uname().release}, {os.cpu_count()} processors"
    print(f"{system}; medians; CPU time unless marked")
    for name in names or rows:
        with tempfile.TemporaryDirectory(prefix="repro-bench-", dir=folder) as work:
            rows[name](pathlib.Path(work))
