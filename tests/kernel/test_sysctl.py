"""Sysctls, complete and sanitized."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockmon.errors import NotPresent
from sockmon.kernel import sysctl
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netns import open_current
from sockmon.kernel.setns import OpenedFiles
from sockmon.model.snapshot import Missing
from tests.netns import inside, set_sysctl

RESERVED = "net.ipv4.ip_local_reserved_ports"


def read_reserved(value: str) -> str:
    # One write takes a page of the list, and `set_sysctl` cannot write in pieces.
    set_sysctl(RESERVED, value if len(value) < 4000 else "\n")
    if len(value) >= 4000:
        with open("/proc/sys/net/ipv4/ip_local_reserved_ports", "wb", buffering=0) as file:
            rest = value.encode()
            while rest:
                rest = rest[file.write(rest) :]
    handle = open_current()
    return sysctl.read(handle, RESERVED)


@pytest.mark.fault("S11")
@pytest.mark.usefixtures("needs_userns")
def test_a_list_of_190_kilobytes_is_read_completely() -> None:
    ports = ",".join(str(port) for port in range(1, 65536, 2))
    assert len(ports) > 190_000 - 8_000
    assert inside(read_reserved, ports) == ports


@pytest.mark.fault("S12")
@pytest.mark.usefixtures("needs_userns")
def test_an_empty_list_is_empty_and_not_absent() -> None:
    assert inside(read_reserved, "\n") == ""


@pytest.mark.fault("S11")
@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("length", [4090, 4095, 4096, 4097])
def test_a_list_around_one_page(length: int) -> None:
    ports = ",".join(str(port) for port in range(10001, 60000, 2))[:length].rpartition(",")[0]
    pad = length - len(ports)
    assert inside(read_reserved, ports) == ports
    assert pad < 7


def keys_here() -> tuple[set[str], set[str], str]:
    handle = open_current()
    values = sysctl.read_all(handle)
    return set(values), set(sysctl.read_all(handle, sysctl.HOST_KEYS)), values["net.ipv4.ip_local_port_range"]


@pytest.mark.usefixtures("needs_userns")
def test_a_private_namespace_lacks_the_keys_of_the_initial_one() -> None:
    own, host, ports = inside(keys_here)
    assert {key for key in sysctl.NETNS_KEYS if "netfilter" not in key} <= own
    assert not {"net.ipv4.tcp_mem", "net.ipv4.udp_mem", "net.ipv4.tcp_max_orphans"} & host
    assert "fs.nr_open" in host
    assert ports == "32768 60999"


def test_values_are_sanitized_and_refusals_are_noted(tmp_path: Path) -> None:
    core = tmp_path / "sys/net/core"
    core.mkdir(parents=True)
    (core / "somaxconn").write_bytes(b" 40\t96\x1b[2J \n")
    (tmp_path / "sys/net/ipv4").mkdir()
    (tmp_path / "sys/net/ipv4/tcp_tw_reuse").mkdir()
    handle = open_current(proc=str(tmp_path))
    missing: list[Missing] = []
    assert sysctl.read_all(handle, missing=missing) == {"net.core.somaxconn": "40 96�[2J"}
    assert [item.reader for item in missing] == ["net.ipv4.tcp_tw_reuse"]
    handle.close()


def test_a_key_that_is_not_there_is_absent() -> None:
    with pytest.raises(NotPresent):
        sysctl.read(NetnsHandle("empty", OpenedFiles()), "net.core.somaxconn")
