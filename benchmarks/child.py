"""`python -m benchmarks.child NAME RUN`: one benchmark inside its state; prints each row as a line of JSON."""

from __future__ import annotations

import os
import signal
import sys

import msgspec

from benchmarks.benchmark import Run
from benchmarks.listing import BY_NAME
from sockmon.kernel.processes.rlimits import raise_descriptor_limit


def main() -> None:
    """Measure what argv names."""
    name, run = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Run)
    raise_descriptor_limit()
    # What is stopped for taking too long ends its programs, and removes their files.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    # Rows alone go to stdout; what a case prints goes to stderr.
    rows = os.dup(1)
    os.dup2(2, 1)
    for row in BY_NAME[name].measure(run):
        os.write(rows, msgspec.json.encode(row) + b"\n")


if __name__ == "__main__":
    main()
