"""Connection tracking, and UDP flows that it tracks."""

from __future__ import annotations

import subprocess
from shutil import which

from sockmon.sandbox.namespaces import TOOL_PATH


def enable_conntrack() -> None:
    """Turn connection tracking on in this namespace; raise RuntimeError if nft is missing or fails."""
    load_nft_rules("table inet load { chain out { type filter hook output priority 0; ct state new counter; }; }")


def load_nft_rules(rules: str) -> None:
    """Load nft's `rules` in this namespace; raise RuntimeError if nft is missing or fails."""
    nft = which("nft", path=TOOL_PATH)
    if not nft:
        raise RuntimeError("conntrack: nft is not installed, and nothing else turns connection tracking on")
    done = subprocess.run([nft, "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"conntrack: nft: {done.stderr.strip()}")
