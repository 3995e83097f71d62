"""What was proved, on which kernel and as whom: docs/proved.json, from which docs/ceilings.md tells it."""

from __future__ import annotations

import fcntl
import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path

from sockmon.labs.lab import Lab
from sockmon.model.report import Report

PROVED = Path(__file__).parents[2] / "docs" / "proved.json"


def note(lab: Lab, report: Report) -> None:
    """Write that `lab` held; workers of pytest take turns. What was proved on another kernel is not said again."""
    who = "root" if os.geteuid() == 0 else "user"
    kernel = re.match(r"[0-9.]+", report.kernel)
    entry = {"kernel": kernel[0] if kernel else report.kernel, "date": f"{datetime.now(timezone.utc):%Y-%m-%d}"}
    with PROVED.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        proved = json.loads(file.read() or "{}")
        before = proved.get(lab.name, {})
        same = before.get("kernel") == entry["kernel"]
        others = {key: True for key in ("root", "user") if key == who or (same and before.get(key))}
        proved[lab.name] = {**entry, **others}
        file.truncate(0)
        file.write(json.dumps(dict(sorted(proved.items())), indent=1) + "\n")
