"""Real containers, where this machine can run them: each namespace has its name, also after a restart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from sockmon.kernel.namespaces.discovery import find_namespaces
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.kernel.netlink import run
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.model.other_netns import NetnsName
from tests.netns import TOOL_PATH

pytestmark = pytest.mark.usefixtures("root_only")
ENVIRONMENT = {**os.environ, "PATH": TOOL_PATH}


def names(root: Path) -> dict[str, NetnsName]:
    """The names of all namespaces by their argument, with the state files below `root`."""
    with closing(ProcessTable()) as table, closing(NamespaceNames(table.proc, StateFiles(str(root)))) as namer:
        every = map(namer.name, run(find_namespaces(table.read(0.0).rows, table.proc)))
        return {argument: called for called, argument in every if called is not None}


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root file system with one static program."""
    program = shutil.which("busybox", path=TOOL_PATH)
    if program is None or b"statically linked" not in _output(["file", "-L", program]):
        pytest.skip("needs a static busybox")
    folder = tmp_path / "rootfs"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copy(program, folder / "bin/busybox")
    (folder / "bin/sleep").symlink_to("busybox")
    return folder


def _output(command: list[str]) -> bytes:
    try:
        return subprocess.run(command, capture_output=True, env=ENVIRONMENT, timeout=120, check=False).stdout
    except FileNotFoundError:
        return b""


def _do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, timeout=120, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


def _remove(root: Path) -> None:
    """Remove the folder of Podman, whose monitors still write there while they end."""
    for _ in range(100):
        shutil.rmtree(root, ignore_errors=True)
        if not root.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{root} cannot be removed")


def _remove_empty_cgroups(name: str) -> None:
    """Remove what a runtime leaves behind in each hierarchy; a cgroup with a process in it is refused."""
    root = Path("/sys/fs/cgroup")
    for parent in (*root.glob(name), *root.glob(f"*/{name}")):
        for folder, _, _ in os.walk(parent, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)


@contextmanager
def podman() -> Iterator[tuple[Path, list[str]]]:
    """A folder, and the command of Podman with its state below that, as it is below / otherwise."""
    for tool in ("podman", "conmon", "runc"):
        if not shutil.which(tool, path=TOOL_PATH):
            pytest.skip(f"needs {tool}")
    # Podman takes no path of more than 50 characters.
    root = Path(tempfile.mkdtemp(prefix="sm"))
    storage = ("--root", f"{root}/var/lib/containers/storage", "--runroot", f"{root}/run/containers/storage")
    command = ["podman", *storage, "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs"]
    command += ["--tmpdir", f"{root}/tmp"]
    try:
        yield root, command
    finally:
        _output([*command, "rm", "--all", "--force", "--time", "0"])
        _remove(root)
        _remove_empty_cgroups("libpod_parent")


def test_podman(rootfs: Path) -> None:
    limits = ("--ulimit", "nofile=512:512", "--ulimit", "nproc=512:512", "--network", "none")
    with podman() as (root, command):
        for name in ("sm-one", "sm-two"):
            _do(*command, "run", "--detach", *limits, "--name", name, "--rootfs", str(rootfs), "/bin/sleep", "600")
        first = names(root)
        ids = {name: _do(*command, "inspect", name, "--format", "{{.Id}}") for name in ("sm-one", "sm-two")}
        assert {name: first[name] for name in ids} == {
            name: NetnsName("container", name, "podman", ids[name]) for name in ids
        }
        _do(*command, "restart", "--time", "0", "sm-one")
        _do(*command, "rename", "sm-two", "sm-three")
        after = names(root)
        assert (after["sm-one"], after["sm-three"].container) == (first["sm-one"], ids["sm-two"])
        assert "sm-two" not in after
        # Without its state files the id is left.
        assert names(root / "nowhere")[ids["sm-one"][:12]].reason


def test_lxc(rootfs: Path, tmp_path: Path) -> None:
    if not shutil.which("lxc-start", path=TOOL_PATH):
        pytest.skip("needs lxc-start")
    folder = tmp_path / "var/lib/lxc"
    (folder / "sm-web").mkdir(parents=True)
    (folder / "sm-web/config").write_text(
        f"lxc.uts.name = sm-web\nlxc.net.0.type = empty\nlxc.rootfs.path = dir:{rootfs}\n"
        "lxc.init.cmd = /bin/sleep 600\nlxc.apparmor.profile = unconfined\n"
    )
    _do("lxc-start", "--name", "sm-web", "--lxcpath", str(folder), "--daemon")
    try:
        _do("lxc-wait", "--name", "sm-web", "--lxcpath", str(folder), "--state", "RUNNING", "--timeout", "20")
        assert names(tmp_path)["sm-web"] == NetnsName("container", "sm-web", "lxc")
    finally:
        _output(["lxc-stop", "--name", "sm-web", "--lxcpath", str(folder), "--kill"])
        _remove_empty_cgroups("lxc.pivot")


def test_runc_without_an_engine(rootfs: Path) -> None:
    if not shutil.which("runc", path=TOOL_PATH):
        pytest.skip("needs runc")
    bundle = rootfs.parent
    _do("runc", "spec", "--bundle", str(bundle))
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"] |= {"terminal": False, "args": ["/bin/sleep", "600"], "rlimits": []}
    (bundle / "config.json").write_text(json.dumps(spec))
    try:
        # A container of the same name, started again, is the same container to those who named it.
        for _ in range(2):
            _do_quietly("runc", "run", "--detach", "--bundle", str(bundle), "sm-alone")
            assert names(Path("/"))["sm-alone"] == NetnsName("container", "sm-alone", "runc", "sm-alone")
            assert names(rootfs).get("sm-alone") is None
            _do("runc", "delete", "--force", "sm-alone")
    finally:
        _output(["runc", "delete", "--force", "sm-alone"])
        _remove_empty_cgroups("sm-alone")


def _do_quietly(*command: str) -> None:
    """Do the same with a command whose child keeps its standard streams."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=ENVIRONMENT, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here")
