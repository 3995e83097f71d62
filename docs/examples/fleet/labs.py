#!/usr/bin/env python3
"""A fleet to try: labs as hosts, and a Prometheus that scrapes them, until Ctrl-C.

    python3 docs/examples/fleet/labs.py accept-queue ephemeral-ports
    sockmon fleet --prometheus http://127.0.0.1:9095         # in another terminal

A lab has its own network namespace, which nothing can scrape, so each writes its metrics into a file. A web server
of a few lines gives them to Prometheus, which is all that is installed besides sockmon (`apt install prometheus`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

SCRAPE_SECONDS = 2


class Handler(SimpleHTTPRequestHandler):
    """Answers with the files of a folder, in the type that Prometheus expects."""

    extensions_map = {".prom": "text/plain; version=0.0.4"}  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def config(labs: list[str], port: int) -> str:
    """Return prometheus.yml (YAML is a superset of JSON): each lab is a target with its name as `instance`."""
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name, "__metrics_path__": f"/{name}.prom"}}
        for name in labs
    ]
    job = {"job_name": "sockmon", "scrape_interval": f"{SCRAPE_SECONDS}s", "static_configs": targets}
    return json.dumps({"scrape_configs": [job]})


def running(children: list[subprocess.Popen[bytes]]) -> bool:
    """Return whether none of them has ended."""
    return all(child.poll() is None for child in children)


def require(address: str) -> None:
    """End if a program is missing, or another one answers at this address."""
    if not shutil.which("prometheus"):
        sys.exit("prometheus is not installed: apt install prometheus")
    if not shutil.which("sockmon"):
        sys.exit('sockmon is not on the PATH: export PATH="$PWD/.venv/bin:$PATH" in the folder of sockmon')
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        if probe.connect_ex((host, int(port))) == 0:
            sys.exit(f"{address} is in use: name another one with --listen")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", nargs="+", metavar="LAB", help="as `sockmon lab list` names them")
    parser.add_argument(
        "--listen", default="127.0.0.1:9095", help="where Prometheus answers (default: %(default)s)"
    )
    options = parser.parse_args()
    require(options.listen)
    # As after Ctrl-C nothing stays if it is ended, or its terminal is closed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sockmon-fleet-")))
        children = []
        for name in options.labs:
            export = ["export", "--textfile", str(folder / f"{name}.prom"), "--interval", "1"]
            children.append(subprocess.Popen(["sockmon", "lab", "run", name, "--", *export]))
        web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=web.serve_forever, daemon=True).start()
        (folder / "prometheus.yml").write_text(config(options.labs, web.server_port))
        files = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        quiet = ["--log.level=error", f"--web.listen-address={options.listen}"]
        children.append(subprocess.Popen(["prometheus", *files, *quiet]))
        try:
            while not all((folder / f"{name}.prom").exists() for name in options.labs) and running(children):
                time.sleep(0.2)
            if running(children):
                print(f"in another terminal: sockmon fleet --prometheus http://{options.listen}", flush=True)
            while running(children):
                time.sleep(0.2)
            ended = next(child for child in children if child.poll() is not None)
            sys.exit(f"one has ended, so all end: {ended.args!r} with {ended.returncode}")
        except KeyboardInterrupt:
            pass
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait()


if __name__ == "__main__":
    main()
