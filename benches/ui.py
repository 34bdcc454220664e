#!/usr/bin/env python3
"""Measures the table of runs in a browser: python3 benches/ui.py [--runs N]

    python3 benches/ui.py                     30,000 runs of 100 metrics; minutes
    python3 benches/ui.py --root PROJECT      the runs of a project that exists

Starts `repro ui` and a headless Chromium on a large history. Prints medians of the time from the
navigation to the first painted rows, and from a click on a head or Enter in the filter to the
frame that shows the other rows, and the peak memory of the server.
"""
import argparse
import base64
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

from measuring import REPRO
from runs import history

ROWS = "document.querySelectorAll('.w-row [data-focus=run]').length > 10"
# What a change of the order or of the filter changes: the number of runs, and the first of them.
SHOWN = """(document.querySelector('.total')?.innerText
  + document.querySelector('.w-row[data-index="0"] [data-focus=run]')?.innerText)"""
HEAD = "[data-key='metrics.train.loss'] .sort"
FILTERS = ["params.model = 'small'", "metrics.train.loss > 0.7", "status = 'failed'", ""]
# Resolves after the frame in which the condition is true was painted.
PAINTED = """new Promise((done) => {
  const check = () => requestAnimationFrame(() => (%s)
    ? setTimeout(() => done(performance.now())) : check());
  check();
})"""


class Browser:
    """One page of a headless Chromium, over the pipe of its debugging protocol."""

    def __init__(self):
        ours, theirs = [os.pipe(), os.pipe()], (10, 11)

        def connect():
            os.dup2(ours[0][0], theirs[0])
            os.dup2(ours[1][1], theirs[1])
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        self.process = subprocess.Popen(
            ["chromium-headless-shell", "--no-sandbox", "--remote-debugging-pipe",
             "--window-size=1280,800", "about:blank"],
            preexec_fn=connect, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.sent, self.answers = ours[0][1], os.fdopen(ours[1][0], "rb", buffering=0)
        self.session, self.number, self.left = None, 0, b""
        target = self.call("Target.getTargets")["targetInfos"][0]["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        self.call("Page.enable")

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.sent, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.left:
                self.left += self.answers.read(1 << 20)
            answer, self.left = self.left.split(b"\0", 1)
            answer = json.loads(answer)
            if answer.get("id") == self.number:
                return answer["result"]

    def evaluate(self, script):
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True,
                          returnByValue=True)
        if "exceptionDetails" in found:
            raise SystemExit(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def navigate(self, address):
        """Opens a page and returns the milliseconds to its first painted rows."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        while not self.evaluate("location.href").startswith(address):
            pass
        return self.evaluate(PAINTED % ROWS)

    def react(self, action):
        """Returns the milliseconds from an action to the frame that shows other rows."""
        return self.evaluate(f"""(async () => {{
          const before = {SHOWN};
          const start = performance.now();
          {action};
          const end = await {PAINTED % f"{SHOWN} !== before && {ROWS}"};
          return end - start;
        }})()""")

    def screenshot(self, path):
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(picture))

    def close(self):
        self.process.kill()
        self.process.wait()


def set_filter(text):
    return (f"const box = document.querySelector('#filter'); box.value = {json.dumps(text)};"
            "box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))")


def peak_memory(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def measure(args, root):
    server = subprocess.Popen([args.repro, "-C", root, "ui", "--port", "0", "--no-open"],
                              stdout=subprocess.PIPE, text=True)
    browser = Browser()
    try:
        address = server.stdout.readline().strip() + "runs"
        times = {"first rows": [], "sort": [], "filter": []}
        for _ in range(args.times):
            times["first rows"].append(browser.navigate(address))
            for _ in range(2):
                times["sort"].append(browser.react(f"document.querySelector(\"{HEAD}\").click()"))
            for text in FILTERS:
                times["filter"].append(browser.react(set_filter(text)))
        load = os.getloadavg()[0]
        for name, values in times.items():
            values.sort()
            print(f"{name:12} {statistics.median(values):7.0f} ms   best {values[0]:5.0f} ms,"
                  f" worst {values[-1]:5.0f} ms, {len(values)} times", flush=True)
        print(f"memory of the server: {peak_memory(server.pid):.0f} MB; load {load:.1f}")
        if args.screenshot:
            browser.screenshot(args.screenshot)
    finally:
        browser.close()
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30_000)
    parser.add_argument("--metrics", type=int, default=100)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--root", type=pathlib.Path)
    parser.add_argument("--screenshot", type=pathlib.Path)
    parser.add_argument("--repro", type=pathlib.Path, default=REPRO)
    args = parser.parse_args()
    if args.root:
        measure(args, args.root)
        return
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as work:
        measure(args, history(args, pathlib.Path(work) / "history"))


if __name__ == "__main__":
    main()
