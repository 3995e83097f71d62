"""The lab of many namespaces: each has the name that its runtime, or ip-netns(8), gives it there."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sockmon.errors import LabUnavailable
from sockmon.labs.many_namespaces import LAB
from sockmon.model.other_netns import CONTAINER, NAMED, POD
from sockmon.sandbox.session import run_lab
from tests.netns import ROOT
from tests.test_cli import sockmon

NAMES = f"""
import json, sys
sys.path[:] = {[str(ROOT), *filter(None, sys.path)]!r}
from sockmon.kernel.namespaces.lookup import matching
with matching("*") as found:
    print(json.dumps([[each.called.name, each.called.kind, each.called.runtime] for each in found]))
"""
WITH_RUNTIMES = {
    ("checkout", CONTAINER, "podman"),
    ("collector", CONTAINER, "nerdctl"),
    ("shop/payments-0", POD, "cri-containerd"),
    ("cart-0", CONTAINER, "podman"),
    ("shop/search-1", POD, "cri-containerd"),
    ("mail-2", CONTAINER, "nerdctl"),
    ("shop/stock-3", POD, "cri-o"),
    ("prices-4", NAMED, ""),
}


@pytest.mark.usefixtures("needs_userns")
def test_each_namespace_has_the_name_of_its_container() -> None:
    try:
        with run_lab(replace(LAB, size=8)) as lab:
            inside = Path(f"/proc/{lab.pid}")
            if not lab.isolated:
                pytest.skip("this kernel does not allow mounting a /proc here: the lab has no names")
            done = lab.run([sys.executable, "-I", "-c", NAMES])
    except LabUnavailable as refused:
        pytest.skip(refused.message)
    assert done.returncode == 0, done.stderr
    found = {tuple(each) for each in json.loads(done.stdout)} - {("host", "host", "")}
    if lab.facts["runtimes"] == ["ip netns"]:
        assert found == {(name.rpartition("/")[2], NAMED, "") for name, _, _ in WITH_RUNTIMES}
    else:
        assert found == WITH_RUNTIMES
    assert not inside.exists()


def test_only_a_lab_that_has_a_size_takes_one() -> None:
    done = sockmon("lab", "run", "--size", "30", "process-fds", "--", "check")
    assert (done.returncode, done.stdout) == (64, "")
    assert "process-fds has one size" in done.stderr
