"""The file for node_exporter: it is replaced in one step."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sockmon.errors import SockmonError
from sockmon.export import textfile
from tests.waiting import until

NODE_EXPORTER = shutil.which("node_exporter") or shutil.which("prometheus-node-exporter")


def test_the_file_is_replaced_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "sockmon.prom"
    path.write_text("old")
    textfile.write(str(path), b"up 1\n")
    assert path.read_bytes() == b"up 1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "message"),
    [("sockmon.txt", "does not end in .prom"), ("none/x.prom", "No such file"), ("d.prom", "directory")],
)
def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "d.prom").mkdir()
    with pytest.raises(SockmonError, match=message):
        textfile.write(str(tmp_path / name), b"up 1\n")
    assert [each.name for each in tmp_path.iterdir()] == ["d.prom"]


@pytest.mark.skipif(NODE_EXPORTER is None, reason="needs node_exporter")
def test_node_exporter_takes_it_without_an_error(tmp_path: Path) -> None:
    """It reports its own process_*, and each scrape would be an error if the file had them too."""
    assert NODE_EXPORTER is not None
    path = tmp_path / "sockmon.prom"
    command = [sys.executable, "-m", "sockmon", "export", "--textfile", str(path), "--once"]
    subprocess.run(command, check=True, timeout=60)
    collector = [
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={tmp_path}",
    ]
    command = [NODE_EXPORTER, "--web.listen-address=127.0.0.1:0", *collector]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            lines = iter(child.stderr)
            port = next(int(found[1]) for line in lines if (found := re.search(r"address=127.0.0.1:(\d+)", line)))
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                connection.request("GET", "/metrics")
                page = connection.getresponse().read().decode()
        finally:
            child.terminate()
            rest = child.stderr.read() if child.stderr else ""
    assert "node_textfile_scrape_error 0" in page
    assert 'sockmon_ceiling_ratio{ceiling="pid-max"}' in page
    assert "error gathering metrics" not in rest


FULL = """
mount -t tmpfs -o size=400k tmpfs "$1" && exec "$0" -m sockmon export --interval 0.2 --textfile "$1/x.prom"
"""


def test_without_space_the_old_file_stays_and_stderr_has_the_reason(tmp_path: Path, needs_userns: None) -> None:
    """In a unit of systemd or a pod there is no other log."""
    command = ["unshare", "-Urm", "sh", "-c", FULL, sys.executable, str(tmp_path)]
    nowhere = {"XDG_STATE_HOME": "/proc", "HOME": "/proc"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **nowhere}) as child:
        try:
            folder = Path(f"/proc/{child.pid}/root{tmp_path}")
            until(lambda: (folder / "x.prom").exists())
            with suppress(OSError), (folder / "full").open("wb", buffering=0) as full:
                while True:
                    full.write(bytes(4096))
            assert child.stderr is not None
            line = child.stderr.readline()
            assert f"sample: {tmp_path}/x.prom cannot be written: No space left on device" in line
            assert sorted(each.name for each in folder.iterdir()) == ["full", "x.prom"]
            old = (folder / "x.prom").read_bytes()
            (folder / "full").unlink()
            until(lambda: (folder / "x.prom").read_bytes() != old)
        finally:
            child.kill()


def test_once(tmp_path: Path) -> None:
    path = tmp_path / "sockmon.prom"
    command = [sys.executable, "-m", "sockmon", "export", "--textfile", str(path), "--once"]
    subprocess.run(command, check=True, timeout=60)
    lines = path.read_text().splitlines()
    assert any(line.startswith("sockmon_build_info{") for line in lines)
    assert any(line.startswith('sockmon_ceiling_ratio{ceiling="pid-max"}') for line in lines)
    # JSON of check and the metrics agree on which limits there are.
    report = subprocess.run([sys.executable, "-m", "sockmon", "check", "--json"], capture_output=True, timeout=60)
    known = {row["ceiling"] for row in json.loads(report.stdout)["readings"]}
    assert known == {line.split('"')[1] for line in lines if line.startswith("sockmon_ceiling_severity{")}
