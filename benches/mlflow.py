#!/usr/bin/env python3
"""Measures the server for MLflow's clients: python3 benches/mlflow.py [NAME…] [--mlflow PYTHON]

start    from the start of the process to its first answer, and its memory (all its processes)
metric   log-metric, one request after the other on one connection
batch    log-batch of 1,000 metrics
search   the best 1,000 of 10,000 runs by a filter and an order
history  a series of 100,000 points, by pages of 25,000
clients  50 clients log 20 points each at once: the points that are there at the end
kill     the server is killed (SIGKILL) while a client logs: the answered points that are lost

`--mlflow PYTHON` names an interpreter that has mlflow; its own server (SQLite, as it is started by
default) then does the same beside it, each row one after the other. Runs and points for `search`
and `history` are written into its database directly, since its API takes minutes for them.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time

from measuring import REPRO

RUNS = 10_000
POINTS = 100_000
API = "/api/2.0/mlflow"
HEADERS = {"Content-Type": "application/json"}


def point(step):
    return {"key": "loss", "value": 1 / (step + 1), "timestamp": step, "step": step}


class Client:
    """One connection, which is opened again if the server has closed it."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        self.connection.request(method, API + path, text, HEADERS)
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status == 200, (path, answer.status, content[:500])
        return json.loads(content)

    def post(self, path, body):
        return self.send("POST", path, body)

    def experiment(self, name):
        return self.post("/experiments/create", {"name": name})["experiment_id"]

    def run(self, experiment):
        body = {"experiment_id": experiment, "start_time": 1}
        return self.post("/runs/create", body)["run"]["info"]["run_id"]

    def metric(self, run, step):
        self.post("/runs/log-metric", {"run_id": run, **point(step)})

    def batch(self, run, start, count):
        points = [point(step) for step in range(start, start + count)]
        self.post("/runs/log-batch", {"run_id": run, "metrics": points, "params": [], "tags": []})

    def history(self, run):
        """Returns the number of points of a run."""
        count, token = 0, ""
        while True:
            query = f"?run_id={run}&metric_key=loss&max_results=25000&page_token={token}"
            answer = self.send("GET", "/metrics/get-history" + query)
            count += len(answer.get("metrics", []))
            token = answer.get("next_page_token", "")
            if not token:
                return count


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def family(pid):
    """Returns a process and all its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                children = pathlib.Path(f"/proc/{parent}/task/{thread}/children").read_text()
                found.extend(map(int, children.split()))
    return found


class Server:
    """A server in a folder of its own."""

    def __init__(self, folder, mlflow=None):
        self.folder, self.mlflow, self.port = folder, mlflow, free_port()
        folder.mkdir(exist_ok=True)
        if mlflow:
            store = f"sqlite:///{folder}/mlflow.db"
            self.command = [mlflow, "-m", "mlflow", "server", "--port", str(self.port)]
            self.command += ["--backend-store-uri", store, "--artifacts-destination", str(folder)]
        else:
            (folder / "pipeline.toml").write_text('[stages.a]\ncmd = "true"\n')
            self.command = [REPRO, "ui", "--port", str(self.port), "--no-open"]
        self.start()

    def start(self):
        began = time.perf_counter()
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while True:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    break
            assert self.process.poll() is None, "the server ended"
            time.sleep(0.001)
        self.took = time.perf_counter() - began

    def client(self):
        return Client(self.port)

    def memory(self):
        """Returns the memory of the server's processes in MB, of shared parts a fair share."""
        total = 0
        for pid in family(self.process.pid):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if "Pss:" in line)
        return total / 1024

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def fill_runs(self):
        """Makes RUNS runs with a metric, a param and a tag each, in an experiment of their own."""
        client = self.client()
        experiment = client.experiment("search")
        if not self.mlflow:
            for number in range(RUNS):
                run = client.run(experiment)
                point = {"key": "loss", "value": number * 7919 % RUNS, "timestamp": 1, "step": 0}
                param = {"key": "lr", "value": str(number % 10)}
                tag = {"key": "team", "value": "a" if number % 2 else "b"}
                body = {"run_id": run, "metrics": [point], "params": [param], "tags": [tag]}
                client.post("/runs/log-batch", body)
            return experiment
        ids = [f"{number:032x}" for number in range(RUNS)]
        with sqlite3.connect(self.folder / "mlflow.db", timeout=60) as store:
            columns = "run_uuid, name, source_type, source_name, entry_point_name, user_id, "
            columns += "status, start_time, end_time, source_version, lifecycle_stage, "
            columns += "artifact_uri, experiment_id"
            rows = [
                (run, "r", "LOCAL", "", "", "u", "FINISHED", 1, 2, "", "active", "", experiment)
                for run in ids
            ]
            marks = ",".join("?" * 13)
            store.executemany(f"INSERT INTO runs ({columns}) VALUES ({marks})", rows)
            sql = "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
            rows = [("loss", at * 7919 % RUNS, 1, 0, 0, run) for at, run in enumerate(ids)]
            store.executemany(sql + "VALUES (?,?,?,?,?,?)", rows)
            sql = "INSERT INTO params (key, value, run_uuid) VALUES (?,?,?)"
            store.executemany(sql, [("lr", str(at % 10), run) for at, run in enumerate(ids)])
            sql = "INSERT INTO tags (key, value, run_uuid) VALUES (?,?,?)"
            rows = [("team", "a" if at % 2 else "b", run) for at, run in enumerate(ids)]
            store.executemany(sql, rows)
        return experiment

    def fill_points(self):
        """Makes a run with a series of POINTS points, and returns it."""
        client = self.client()
        run = client.run(client.experiment("history"))
        if not self.mlflow:
            for start in range(0, POINTS, 1000):
                client.batch(run, start, 1000)
            return run
        with sqlite3.connect(self.folder / "mlflow.db", timeout=60) as store:
            sql = "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) "
            rows = [("loss", 1 / (step + 1), step, step, 0, run) for step in range(POINTS)]
            store.executemany(sql + "VALUES (?,?,?,?,?,?)", rows)
        return run


def seconds(action, count):
    """Returns the median time of one of `count` calls; the first one, which warms up, not."""
    times = []
    for number in range(count + 1):
        began = time.perf_counter()
        action(number)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def compare(name, what, measure, ours, theirs, counts):
    """Prints the time of both servers, and how many times faster this one is."""
    own = measure(ours, counts[0])
    text = f"{name}: {what}: {own * 1000:.3f} ms"
    if theirs:
        other = measure(theirs, counts[1])
        text += f"; mlflow's server {other * 1000:.1f} ms, ratio {other / own:.1f}"
    print(text, flush=True)


def start(ours, theirs, work):
    times = []
    for number in range(10):
        server = Server(work / f"start-{number}")
        times.append(server.took)
        server.kill()
    text = f"start: {statistics.median(times) * 1000:.1f} ms, memory {ours.memory():.1f} MB"
    if theirs:
        text += f"; mlflow's server {theirs.took * 1000:.0f} ms, memory {theirs.memory():.0f} MB"
    print(text, flush=True)


def metric(ours, theirs, work):
    def measure(server, count):
        client = server.client()
        run = client.run(client.experiment("metric"))
        return seconds(lambda step: client.metric(run, step), count)

    compare("metric", "one log-metric", measure, ours, theirs, (2000, 100))


def batch(ours, theirs, work):
    def measure(server, count):
        client = server.client()
        run = client.run(client.experiment("batch"))
        return seconds(lambda number: client.batch(run, number * 1000, 1000), count)

    compare("batch", "log-batch of 1,000", measure, ours, theirs, (50, 5))


def search(ours, theirs, work):
    def measure(server, count):
        experiment, client = server.fill_runs(), server.client()
        body = {
            "experiment_ids": [experiment],
            "filter": "metrics.loss < 5000 and params.lr != '3' and tags.team = 'a'",
            "order_by": ["metrics.loss ASC"],
            "max_results": 1000,
        }

        def once(_):
            assert len(client.post("/runs/search", body)["runs"]) == 1000

        return seconds(once, count)

    compare("search", f"1,000 of {RUNS:,} runs", measure, ours, theirs, (20, 5))


def history(ours, theirs, work):
    def measure(server, count):
        run, client = server.fill_points(), server.client()

        def once(_):
            assert client.history(run) == POINTS

        return seconds(once, count)

    compare("history", f"{POINTS:,} points", measure, ours, theirs, (10, 3))


def clients(ours, theirs, work):
    count, each = 50, 20
    first = ours.client()
    run = first.run(first.experiment("clients"))
    began = time.perf_counter()

    def log(number):
        client = ours.client()
        for step in range(number * each, (number + 1) * each):
            client.metric(run, step)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    took = time.perf_counter() - began
    found = first.history(run)
    print(f"clients: {count} at once, {found} of {count * each} points, {took:.2f} s", flush=True)


def kill(ours, theirs, work):
    lost = answered = 0
    for number in range(5):
        folder = work / f"kill-{number}"
        server = Server(folder)
        client = server.client()
        run = client.run(client.experiment("kill"))
        threading.Timer(0.3, server.kill).start()
        step = 0
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                client.metric(run, step)
                step += 1
        server = Server(folder)
        found = server.client().history(run)
        answered += step
        lost += max(0, step - found)
        server.kill()
        shutil.rmtree(folder)
    print(f"kill: {answered} answered points in 5 kills, {lost} lost", flush=True)


def main():
    rows = [start, metric, batch, search, history, clients, kill]
    names = [row.__name__ for row in rows]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--mlflow", metavar="PYTHON")
    args = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; medians", flush=True)
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as work:
        work = pathlib.Path(work)
        ours = Server(work / "repro")
        theirs = Server(work / "mlflow", args.mlflow) if args.mlflow else None
        try:
            for row in rows:
                if not args.names or row.__name__ in args.names:
                    row(ours, theirs, work)
        finally:
            ours.kill()
            if theirs:
                theirs.kill()


if __name__ == "__main__":
    main()
