"""Note which lab passed, on which kernel and as which user: docs/proved.json, a source of docs/ceilings.md."""

from __future__ import annotations

import fcntl
import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path

from sockmon.model.report import Report
from sockmon.sandbox.scenario import Lab

PROVED = Path(__file__).parents[2] / "docs" / "proved.json"


def note(lab: Lab, report: Report) -> None:
    """Note that `lab` passed; a lock serialises the workers of pytest. An entry of another kernel is replaced."""
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
