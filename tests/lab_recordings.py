"""Record the labs for those who cannot write a cgroup: `python -m tests.lab_recordings`, by somebody who can."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from screenshots.make import keep
from sockmon.labs import LABS
from sockmon.labs.running import RECORDINGS, running

SECONDS = 7


def main() -> None:
    """Each lab that has both a build and a recording, anew."""
    for lab in LABS:
        if lab.recording and not lab.recorded:
            with running(lab) as world, tempfile.TemporaryDirectory() as folder:
                if world.instead:
                    sys.exit(f"{lab.name}: {world.instead}")
                raw = Path(folder) / "raw.jsonl"
                if world.call("record", str(raw), "--for", str(SECONDS)):
                    sys.exit(f"{lab.name} could not be recorded")
                keep(raw, RECORDINGS / lab.recording)


if __name__ == "__main__":
    main()
