"""Trees of files and processes, for the programs that write sysctls."""

from __future__ import annotations

from pathlib import Path

SOMAXCONN = "net.core.somaxconn"


def tree(root: Path, files: dict[str, str], *processes: str) -> Path:
    """Make `files` below `root`, and processes with these names in its /proc."""
    for number, name in enumerate(processes, 10):
        files = {**files, f"proc/{number}/comm": f"{name}\n"}
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def enable(root: Path, unit: str) -> None:
    """Let a target want `unit`."""
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    # On a real machine it leads outside of this tree.
    (wants / unit).symlink_to(f"/nowhere/{unit}")
