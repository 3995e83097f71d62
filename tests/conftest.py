"""What every test can ask for: root, a private namespace, and always the same environment."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings

from tests import netns

# Textual reads these when it is imported: a picture must not depend on who looks at it.
for name in ("NO_COLOR", "COLORTERM", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM"):
    os.environ.pop(name, None)

# No test asserts a time, and no database outlives a run.
settings.register_profile("sockmon", deadline=None, database=None)
settings.load_profile("sockmon")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="note in docs/proved.json which labs held, and where")


@pytest.fixture
def root_only() -> None:
    """Skip where real root is needed and this is not."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture
def unprivileged_only() -> None:
    """Skip where being root would hide what is tested."""
    if os.geteuid() == 0:
        pytest.skip("needs an ordinary user")


@pytest.fixture
def needs_userns() -> None:
    """Skip where this user may not have a user namespace, with the kernel's reason."""
    if reason := netns.refusal():
        pytest.skip(f"no user namespace here: {reason}")


@pytest.fixture
def needs_nft() -> None:
    """Skip where nft is not there to turn connection tracking on."""
    if not shutil.which("nft", path=netns.TOOLS):
        pytest.skip("needs nft")


@pytest.fixture
def needs_tmux() -> None:
    """Skip where tmux is not there to be the terminal."""
    if not shutil.which("tmux"):
        pytest.skip("needs tmux")
