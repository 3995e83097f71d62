"""What every test can ask for: root, a private namespace, and always the same environment."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests import netns

# In the background and under nohup these are ignored, and every program that a test starts would inherit that.
for _number, _default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

HERE = Path(__file__).parent
PURE = (
    *("assess", "fleet", "guides", "tunables", "ui", "sources/test_wire.py", "test_text.py"),
    *("export/test_metrics.py", "export/test_rules.py", "export/test_web.py"),
    *("kernel/test_netlink.py", "kernel/test_netstat.py", "kernel/test_port_ranges.py", "kernel/test_softnet.py"),
    *("tuning/test_naming.py", "tuning/test_not_advised.py", "tuning/test_plan.py"),
    *("test_docs.py", "test_facts.py", "test_faults.py", "test_format.py", "test_log_lines.py", "test_misuse.py"),
    *("test_painter.py", "test_plain_english.py", "test_port_lists.py", "test_slow_line.py"),
)
"""Folders and files of tests that do the same for every user: data in, words, pictures or an exit code out; and
the guides, which walk through labs in a user namespace whose root everyone is."""
REAL = (
    *("guides/test_as_an_ordinary_user.py", "guides/test_guide_verb.py", "guides/test_kept_walks.py"),
    *("ui/test_on_a_terminal.py", "ui/test_fleet_on_a_terminal.py", "ui/test_experiment_screen.py"),
    "ui/test_settings.py",
)
"""Files in these folders that depend on who runs them: they read the kernel or files of that user."""
PRIVILEGE = {"root_only", "unprivileged_only", "sees_everyone", "needs_userns", "needs_nft"}
"""Fixtures of tests that are not pure, wherever they are."""

# Textual reads these when it is imported: a picture must not depend on who looks at it.
for name in ("NO_COLOR", "COLORTERM", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM"):
    os.environ.pop(name, None)

# Faults that tests cause do not belong in the log of this host or of the user who runs them.
STATE = tempfile.mkdtemp(prefix="sockmon-tests-")
os.environ["XDG_STATE_HOME"] = STATE
# Nor may the levels of the user who runs them change what is an alarm.
os.environ["XDG_CONFIG_HOME"] = STATE

# No test asserts a time, and no database outlives a run.
settings.register_profile("sockmon", deadline=None, database=None)
settings.load_profile("sockmon")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `pure` what one user need not test again after another one."""
    pure, real = ([HERE / name for name in names] for names in (PURE, REAL))
    assert all(path.exists() for path in (*pure, *real)), "PURE or REAL names a test that is not there"
    for item in items:
        places = {item.path, *item.path.parents}
        fixtures = getattr(item, "fixturenames", ())
        if places.intersection(pure) and not (places.intersection(real) or PRIVILEGE.intersection(fixtures)):
            item.add_marker("pure")


def pytest_unconfigure() -> None:
    """Remove the log of this run."""
    shutil.rmtree(STATE, ignore_errors=True)


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
def sees_everyone() -> None:
    """Skip where /proc does not show the processes of other users."""
    try:
        Path("/proc/1/stat").read_bytes()
    except OSError:
        pytest.skip("/proc is mounted with hidepid: processes of other users are not shown")


@pytest.fixture
def needs_userns() -> None:
    """Skip where this user may not have a user namespace, with the kernel's reason."""
    if reason := netns.refusal():
        pytest.skip(f"no user namespace here: {reason}")


@pytest.fixture
def needs_nft() -> None:
    """Skip where nft is not there to turn connection tracking on."""
    if not shutil.which("nft", path=netns.TOOL_PATH):
        pytest.skip("needs nft")


@pytest.fixture
def needs_tmux() -> None:
    """Skip where tmux is not there to be the terminal."""
    if not shutil.which("tmux"):
        pytest.skip("needs tmux")
