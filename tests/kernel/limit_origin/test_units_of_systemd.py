"""What a unit sets, compared with systemd itself: `systemd --test` loads generated trees and prints the limits."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.kernel.limit_origin.unit_files import CONF_PATH, conf_files, find_unit_files, last_assignment
from sockmon.tunables.limit_origin.limit_value import parse_directive

SYSTEMD = "/lib/systemd/systemd"
UNITS = ("web.service", "web-api.service", "web-api-v2.service", "pool@a.service", "web-pool@b-c.service")
FOLDERS = ("/control", "/etc", "/run", "/lib")
NONE = "(default)"
TREES = int(os.environ.get("SOCKMON_UNIT_TREES", "40"))
LINES = (
    "LimitNOFILE={n}",
    "LimitNOFILE={n}:{m}",
    "LimitNOFILE = {n}",
    "LimitNOFILE=infinity",
    "LimitNOFILE={n}:infinity",
    "LimitNOFILE=",
    "LimitNOFILE={m}:{n}",
    "LimitNOFILE={n}k",
    "LimitNOFILE=0x{n}",
    "LimitNOFILE=0{n}",
    "LimitNOFILE={n} ",
    "LimitNOFILE={n} # a comment",
    "#LimitNOFILE={n}",
    "; LimitNOFILE={n}",
    "LimitNOFILE=\\\n{n}",
    "LimitNOFILE=\\\n# between\n{n}",
    "LimitNOFILE={n}\\\\",
    "[Unit]\nLimitNOFILE={n}",
    "[Service]\nLimitNOFILE={n}",
    "limitnofile={n}",
    "LimitNOFILESoft={n}",
    "Environment=LimitNOFILE={n}",
    "LimitNOFILE={n}:",
    "LimitNOFILE=:{n}",
    "LimitNOFILE=-{n}",
    "LimitNOFILE=+{n}",
)


@pytest.fixture
def needs_systemd() -> None:
    if not os.access(SYSTEMD, os.X_OK):
        pytest.skip("needs systemd")


def _drop_in_folders(unit: str) -> list[str]:
    """Return folders that belong to the unit, and some that do not."""
    found = [
        f"{unit}.d",
        "service.d",
        "web-.service.d",
        "web-api-.service.d",
        "web-@.service.d",
        "pool@.service.d",
    ]
    return [
        *found,
        "web-pool@.service.d",
        "web-@b-c.service.d",
        "pool.service.d",
        "other.service.d",
        "alias.service.d",
    ]


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(file):
        file.write_text(text)


def _lines(chance: random.Random) -> str:
    chosen = chance.choices(LINES, k=chance.randint(0, 3))
    n, m = chance.randint(10, 7777), chance.randint(8000, 9999)
    return "\n".join(line.format(n=n + place, m=m) for place, line in enumerate(chosen)) + "\n"


def _make_tree(root: Path, chance: random.Random) -> None:
    for unit in UNITS:
        names = [unit, re.sub(r"@.*\.", "@.", unit)]
        text = f"[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/true\n{_lines(chance)}"
        _write(root / f"lib/{names[-1]}", text)
        for folder in ("control", "etc", "run"):
            if chance.random() < 0.15:
                _write(root / f"{folder}/{chance.choice(names)}", text.replace("LimitNOFILE", "LimitNOFILE", 1))
        for name in chance.sample(_drop_in_folders(unit), 4):
            folder = chance.choice(FOLDERS)
            file = (
                root
                / folder.lstrip("/")
                / name
                / chance.choice(("10-a.conf", "20-b.conf", "c.conf", "d.txt", ".e.conf"))
            )
            if chance.random() < 0.15:
                file.parent.mkdir(parents=True, exist_ok=True)
                if not os.path.lexists(file):
                    file.symlink_to("/dev/null")
            else:
                _write(file, f"{chance.choice(('[Service]', '[Service]', '[Unit]', ''))}\n{_lines(chance)}")
    if chance.random() < 0.5 and not os.path.lexists(root / "etc/alias.service"):
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc/alias.service").symlink_to("../lib/web.service")


def _limits_by_systemd(root: Path) -> dict[str, str]:
    target = root / "lib/all.target"
    # A socket has limits too, and no generated file is about it: it shows the default.
    _write(
        root / "lib/none.socket",
        "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/none\nService=web.service\n",
    )
    _write(target, f"[Unit]\nDefaultDependencies=no\nWants={' '.join((*UNITS, 'none.socket'))}\n")
    path = ":".join(f"{root}{folder}" for folder in FOLDERS)
    environment = {
        "PATH": os.environ["PATH"],
        "SYSTEMD_UNIT_PATH": path,
        "XDG_RUNTIME_DIR": str(root),
        "HOME": str(root),
    }
    command = [SYSTEMD, "--test", "--system", "--unit=all.target", "--log-level=emerg"]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60).stdout
    return dict(_parse_dump(text))


def _parse_dump(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split("-> Unit ")[1:]:
        hard, soft = re.search(r"LimitNOFILE: (\S+)", part), re.search(r"LimitNOFILESoft: (\S+)", part)
        if hard and soft:
            limits = f"{soft[1]}:{hard[1]}".replace(str((1 << 64) - 1), "infinity")
            yield part.partition(":\n")[0], limits


def _limits_by_sockmon(root: Path) -> dict[str, str]:
    files = ConfigFiles(root)
    found = {}
    for unit in UNITS:
        names = find_unit_files(files, unit, FOLDERS).all
        held = last_assignment(files, names, "Service", "LimitNOFILE", partial(parse_directive, "nofile"))
        found[unit] = ":".join("infinity" if each < 0 else str(each) for each in held[1]) if held else NONE
    assert not files.unread
    return found


@pytest.mark.usefixtures("needs_systemd")
def test_generated_trees_give_what_systemd_loads() -> None:
    for seed in range(TREES):
        # Another user, as whom systemd has to run here, could not enter the folder of pytest.
        with TemporaryDirectory(prefix="sockmon-units-") as folder:
            root = Path(os.path.realpath(folder))
            root.chmod(0o755)
            _make_tree(root, random.Random(seed))
            real = _limits_by_systemd(root)
            ours = _limits_by_sockmon(root)
        default = real["none.socket"]
        expected = {unit: value if value != default else NONE for unit, value in real.items() if unit in ours}
        assert len(expected) >= len(UNITS) - 1, "systemd did not load the tree"
        assert {unit: ours[unit] for unit in expected} == expected, f"tree {seed}"


def test_system_conf_and_its_drop_ins_are_read_in_the_order_of_systemd(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    for seed in range(10):
        chance, root = random.Random(seed), tmp_path / str(seed)
        for folder in CONF_PATH:
            place = root / folder.lstrip("/")
            if chance.random() < 0.6:
                _write(place / "system.conf", "[Manager]\n")
            for name in chance.sample(("a.conf", "10-b.conf", "c.conf", ".d.conf", "e.txt"), 3):
                _write(place / "system.conf.d" / name, "[Manager]\n")
        command = ["systemd-analyze", "cat-config", f"--root={root}", "systemd/system.conf"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        real = [line.removeprefix(f"# {root}") for line in done.stdout.split("\n") if line.startswith("# /")]
        if not any(name.endswith("/system.conf") for name in real):
            continue
        assert list(conf_files(ConfigFiles(root), "system.conf")) == real, f"tree {seed}"
