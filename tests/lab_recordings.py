"""Record the labs that need a writable cgroup, for users who have none: `python -m tests.lab_recordings`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from screenshots.make import keep
from sockmon.labs import LABS
from sockmon.sandbox.availability import RECORDINGS
from sockmon.sandbox.session import run_lab

SECONDS = 7


def main() -> None:
    """Record again each lab that has both a build and a recording."""
    for lab in LABS:
        if lab.recording and not lab.recorded:
            with run_lab(lab) as running, tempfile.TemporaryDirectory() as folder:
                if running.recording_reason:
                    sys.exit(f"{lab.name}: {running.recording_reason}")
                raw = Path(folder) / "raw.jsonl"
                if running.run_in_terminal("record", str(raw), "--for", str(SECONDS)):
                    sys.exit(f"{lab.name} could not be recorded")
                keep(raw, RECORDINGS / lab.recording)


if __name__ == "__main__":
    main()
