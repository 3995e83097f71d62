"""The generated documents are what would be generated now."""

from __future__ import annotations

import subprocess
import sys

from tests.netns import ROOT, child_environment


def test_documents_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make.py"), "--check"],
        capture_output=True,
        text=True,
        env=child_environment(),
    )
    assert done.returncode == 0, done.stderr
    assert "| `j` `down` |" in (ROOT / "docs" / "keys.md").read_text()
