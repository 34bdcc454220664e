#!/usr/bin/env python3
"""Measures push and pull: python3 benches/remotes.py [NAME…]

    python3 benches/remotes.py                                    documented sizes; 30 GB, an hour
    python3 benches/remotes.py --files 1000 --bytes 268435456     smaller
    python3 benches/remotes.py --dvc VENV/bin/dvc --s3s-fs PATH small-s3

small-folder, small-s3   10,000 files of 10 KB in one folder of data
large-folder, large-s3   one file of 2 GiB
unchanged                push again, with nothing new among 100,000 files of 1 KiB

In each round every tool does the same work, in an order that changes from round to round; every
round counts. A row shows the medians of wall and CPU time (user and system; without the server),
and the median of the rounds' ratios to repro. Above 1 a tool is slower than repro.

The data are random bytes: zstd gains nothing on them. They are in the page cache, and in the cache
of repro and dvc, before a push; the remote is empty. Before a pull, the workspace and the caches
are deleted; the remote's files are in the page cache. Nothing else is kept between rounds: neither
repro's copies of the index nor DVC's site cache.

push:  cache → remote (repro, dvc); workspace → remote (rclone copy)
pull:  remote → cache → workspace (repro, dvc); remote → workspace (rclone copy)
fetch: remote → cache (repro, dvc); remote → workspace (rclone copy)

s3s-fs is an S3 server over a folder: cargo install --locked s3s-fs@0.14.1 --features binary. This
version answers HEAD of a folder with 500 instead of 404, at which DVC's fetch and pull fail, and
those of rclone repeat the request for a minute: to measure them, let `head_object` in its
`src/s3.rs` return NoSuchKey for a folder. A missing peer is omitted, and a tool that fails is shown
as such.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import time

from measuring import CPU, REPRO, WALL, has, measure, run_rows

KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret"}
QUIET = {
    "DVC_NO_ANALYTICS": "true",
    "DVC_STUDIO_OFFLINE": "true",
    "RCLONE_CONFIG": "/dev/null",
    "NO_PROXY": "127.0.0.1",
}


class Store:
    """A folder, or buckets of an S3 server over a folder; one place per tool."""

    def __init__(self, folder, endpoint=None):
        self.folder, self.endpoint = folder, endpoint

    def clear(self, tool):
        shutil.rmtree(self.folder / tool, ignore_errors=True)
        (self.folder / tool).mkdir(parents=True)

    def url(self, tool):
        return f"s3://{tool}/data" if self.endpoint else str(self.folder / tool)


class Repro:
    name = "repro"

    def __init__(self, args, work, data, store):
        self.program, self.store, self.root = args.repro, store, work / "repro"
        shutil.copytree(data, self.root / "data")
        settings = f'[stages.data]\nouts = ["data"]\n\n[remotes.it]\nurl = "{store.url("repro")}"\n'
        if store.endpoint:
            settings += f'endpoint = "{store.endpoint}"\nregion = "us-east-1"\npath_style = true\n'
        (self.root / "pipeline.toml").write_text(settings)
        self.call("run")

    def call(self, *words):
        return measure(self.program, "-C", self.root, *words)

    def forget_remote(self):
        self.store.clear("repro")
        shutil.rmtree(self.root / "cache/remotes", ignore_errors=True)

    def forget_here(self):
        for name in ("cache", "runs", "data"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def push(self):
        return self.call("push")

    def pull(self):
        return self.call("pull")

    def fetch(self):
        return self.call("fetch")


class Dvc:
    name = "dvc"

    def __init__(self, args, work, data, store):
        self.program, self.store, self.root = args.dvc, store, work / "dvc"
        self.site = work / "dvc-site"
        shutil.copytree(data, self.root / "data")
        self.call("init", "--no-scm")
        self.call("config", "core.site_cache_dir", self.site)
        self.call("remote", "add", "-d", "it", store.url("dvc"))
        if store.endpoint:
            self.call("remote", "modify", "it", "endpointurl", store.endpoint)
        self.call("add", "data")

    def call(self, *words):
        return measure(self.program, "--cd", self.root, *words)

    def forget_remote(self):
        self.store.clear("dvc")
        shutil.rmtree(self.site, ignore_errors=True)

    def forget_here(self):
        shutil.rmtree(self.site, ignore_errors=True)
        for name in (".dvc/cache", ".dvc/tmp", "data"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def push(self):
        return self.call("push")

    def pull(self):
        return self.call("pull")

    def fetch(self):
        return self.call("fetch")


class Rclone:
    name = "rclone"

    def __init__(self, args, work, data, store):
        self.program, self.store, self.data = args.rclone, store, work / "rclone"
        shutil.copytree(data, self.data)
        self.place = store.url("rclone")
        if store.endpoint:
            self.place = "it:rclone/data"
            for key, value in [
                ("TYPE", "s3"),
                ("PROVIDER", "Other"),
                ("ENV_AUTH", "true"),
                ("REGION", "us-east-1"),
                ("ENDPOINT", store.endpoint),
            ]:
                os.environ[f"RCLONE_CONFIG_IT_{key}"] = value

    def forget_remote(self):
        self.store.clear("rclone")

    def forget_here(self):
        shutil.rmtree(self.data, ignore_errors=True)

    def push(self):
        return measure(self.program, "copy", self.data, self.place)

    def pull(self):
        return measure(self.program, "copy", self.place, self.data)

    fetch = pull


def write_data(folder, count, size):
    """Writes `count` files of random bytes, a thousand per folder."""
    for i in range(count):
        if i % 1000 == 0:
            (folder / f"d{i // 1000:03}").mkdir(parents=True)
        with open(folder / f"d{i // 1000:03}/f{i:06}.bin", "wb") as file:
            for at in range(0, size, 1 << 20):
                file.write(os.urandom(min(size - at, 1 << 20)))


@contextlib.contextmanager
def s3(args, work):
    """Starts s3s-fs on a free port, and ends it."""
    folder = work / "store"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key, secret = KEYS.values()
    address = ["--host", "127.0.0.1", "--port", str(port)]
    command = [args.s3s_fs, *address, "--access-key", key, "--secret-key", secret, folder]
    calm = os.environ | {"RUST_LOG": "error"}
    with open(work / "server.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=calm)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield Store(folder, f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def local(args, work):
    yield Store(work / "store")


def present(args):
    """Returns the tools that are installed."""
    tools = {Repro: args.repro, Dvc: args.dvc, Rclone: args.rclone}
    return [tool for tool, program in tools.items() if has(str(program))]


def compete(verb, name, tools, rounds, prepare=lambda tool: None):
    """Lets each tool do its work once per round, and prints a line per tool."""
    results = {tool.name: [] for tool in tools}
    for i in range(rounds):
        turn = i % len(tools)
        for tool in tools[turn:] + tools[:turn]:
            prepare(tool)
            os.sync()
            try:
                results[tool.name].append(getattr(tool, verb)())
            except SystemExit as failure:
                results[tool.name] = None
                print(f"{name:14} {verb:6} {tool.name:7} failed: {failure}")
        tools = [tool for tool in tools if results[tool.name] is not None]
    ours = results.get("repro")
    for tool in tools:
        show(f"{name:14} {verb:6} {tool.name:7}", results[tool.name], ours)


def show(line, theirs, ours):
    """Prints the medians of a tool and, unless it is repro, of its ratios to repro."""
    for clock, label in ((WALL, "wall"), (CPU, "CPU")):
        line += f" {statistics.median(m[clock] for m in theirs):8.2f} s {label}"
        if ours and theirs is not ours:
            ratio = statistics.median(t[clock] / o[clock] for t, o in zip(theirs, ours))
            line += f" ({ratio:6.2f} ×)"
        else:
            line += " " * 11
    spread = ", ".join(f"{m[WALL]:.2f}" for m in theirs)
    print(f"{line} {max(m[2] for m in theirs):5.0f} MB   each: {spread}", flush=True)


def transfers(name, count, size, place):
    """Returns a row that pushes, fetches and pulls `count` files of `size` bytes."""

    def run(args, work):
        write_data(work / "data", count(args), size(args))
        with place(args, work) as store:
            kinds = present(args)
            for kind in kinds:
                store.clear(kind.name)
            tools = [kind(args, work, work / "data", store) for kind in kinds]
            shutil.rmtree(work / "data")
            for verb, prepare in [
                ("push", lambda tool: tool.forget_remote()),
                ("fetch", lambda tool: tool.forget_here()),
                ("pull", lambda tool: tool.forget_here()),
            ]:
                compete(verb, name, tools, args.rounds, prepare)

    return run


def unchanged(args, work):
    write_data(work / "data", args.objects, 1024)
    with local(args, work) as store:
        kinds = present(args)
        for kind in kinds:
            store.clear(kind.name)
        tools = [kind(args, work, work / "data", store) for kind in kinds]
        for tool in tools:
            tool.push()
        compete("push", "unchanged", tools, args.rounds)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    rows = {
        "small-folder": transfers("small-folder", lambda a: a.files, lambda a: 10_000, local),
        "small-s3": transfers("small-s3", lambda a: a.files, lambda a: 10_000, s3),
        "large-folder": transfers("large-folder", lambda a: 1, lambda a: a.bytes, local),
        "large-s3": transfers("large-s3", lambda a: 1, lambda a: a.bytes, s3),
        "unchanged": unchanged,
    }
    parser.add_argument("name", nargs="*", choices=[*rows, []])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=2 << 30)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repro", type=pathlib.Path, default=REPRO)
    parser.add_argument("--dvc", default="dvc")
    parser.add_argument("--rclone", default="rclone")
    parser.add_argument("--s3s-fs", default="s3s-fs")
    parser.add_argument("--in", dest="folder", type=pathlib.Path, help="where the data are written")
    args = parser.parse_args()
    os.environ.update(KEYS | QUIET)
    # rclone 1.60 does not start with a bundle of its own; all servers are on this machine.
    os.environ.pop("AWS_CA_BUNDLE", None)
    names = args.name or [row for row in rows if has(args.s3s_fs) or not row.endswith("s3")]
    bound = {name: lambda work, row=row: row(args, work) for name, row in rows.items()}
    run_rows(bound, names, args.folder)


if __name__ == "__main__":
    main()
