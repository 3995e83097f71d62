"""Who writes a sysctl again while the machine runs: each row of the table, and its near misses."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sockmon.model.boot import BootForecast, Drift
from sockmon.model.writers import Writer, sentence_of
from sockmon.tuning.boot.forecast import boot_forecasts
from sockmon.tuning.boot.other_writers import WRITERS, other_writers, who_wrote
from sockmon.tuning.boot.other_writers.row import Machine, shell_assignments
from sockmon.tuning.boot.sysctl_d import path_of
from sockmon.tuning.helper import drift as helper_drift
from sockmon.tuning.planning import catalog
from sockmon.tuning.planning.context import PlanContext, from_snapshot
from sockmon.tuning.planning.plan import make_plan
from tests.snapshots import snapshot
from tests.tuning.writer_trees import SOMAXCONN, enable, tree

MAX = "net.netfilter.nf_conntrack_max"
ESTABLISHED = "net.netfilter.nf_conntrack_tcp_timeout_established"
RESERVED = "net.ipv4.ip_local_reserved_ports"
HOST_FW = "/etc/pve/local/host.fw"
ENABLED = {"etc/pve/firewall/cluster.fw": "[OPTIONS]\nenable: 1\n"}


def sentences(key: str, root: Path, *processes: str) -> list[str]:
    return [sentence_of(writer) for writer in other_writers(key, root, processes)]


def forecast(root: Path, key: str) -> BootForecast:
    return boot_forecasts([key], root, root / "proc")[key]


def per_cpu() -> str:
    return str(max(131072, 32768 * (os.cpu_count() or 1)))


def test_the_case_of_programs_that_set_a_value_again_after_boot(tmp_path: Path) -> None:
    host = "[OPTIONS]\n\nenable: 0\nnf_conntrack_max: 300000\nnf_conntrack_tcp_timeout_established: 7875\n"
    files = {**ENABLED, HOST_FW[1:]: host}
    root = tree(tmp_path, files, "kubelite", "pve-firewall", "cilium-agent", "sshd")
    flag = "min" if per_cpu() == "131072" else "max-per-core"
    assert forecast(root, MAX).managers == (
        f"every 10 s, pve-firewall sets 303104 ({HOST_FW}:4)",
        f"when it starts, kubelite sets {per_cpu()} (--conntrack-{flag})",
    )
    assert forecast(root, ESTABLISHED).managers == (
        f"every 10 s, pve-firewall sets 7875 ({HOST_FW}:5)",
        "when it starts, kubelite sets 86400 (--conntrack-tcp-timeout-established)",
    )
    assert forecast(root, RESERVED).managers == (
        "when it starts, cilium-agent may add 30000-32767 (node-port-range)",
    )
    assert forecast(root, SOMAXCONN).managers == ()


def test_every_row_has_a_source_a_mark_and_keys_that_are_sysctls(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for row in WRITERS:
        assert row.source
        assert row.processes or row.unit or row.file
        assert all(len(name) <= 15 for name in row.processes), "the kernel cuts longer names"
        assert not row.here(machine)
        for write in row.key_writes(machine):
            assert path_of(write.key).split("/")[0] in ("fs", "kernel", "net", "user", "vm")


def test_a_program_that_is_installed_and_does_not_run_is_not_named(tmp_path: Path) -> None:
    files = {**ENABLED, "usr/bin/dockerd": "", "etc/docker/daemon.json": "{}", "usr/sbin/pve-firewall": ""}
    assert sentences(MAX, tree(tmp_path, files), "kube-proxy-helper", "sshd") == []
    assert sentences("net.ipv4.ip_forward", tmp_path, "docker") == []


@pytest.mark.parametrize(
    ("cpus", "value"), [(1, "131072"), (4, "131072"), (8, "262144"), (32, "1048576"), (64, None)]
)
def test_kube_proxy_takes_its_default_from_the_number_of_cpus(
    tmp_path: Path, cpus: int, value: str | None
) -> None:
    (row,) = (row for row in WRITERS if row.name == "kube-proxy")
    writes = {write.key: write for write in row.key_writes(Machine(tmp_path, (), cpus))}
    # Versions differ beyond 32 CPUs.
    assert writes[MAX].value == writes["net.nf_conntrack_max"].value == value
    assert not writes[MAX].certain


def test_k3s_has_the_flags_of_kube_proxy_in_its_own_file(tmp_path: Path) -> None:
    config = "kube-proxy-arg:\n  - conntrack-max-per-core=500000\n#  - conntrack-min=9\n  - 'conntrack-min=7'\n"
    root = tree(tmp_path, {"etc/rancher/k3s/config.yaml": config})
    assert sentences(MAX, root, "k3s-server") == [
        f"when it starts, k3s sets {500000 * (os.cpu_count() or 1)} (/etc/rancher/k3s/config.yaml:2)"
    ]
    more = 'kube-proxy-arg: ["conntrack-max-per-core=0", "conntrack-tcp-timeout-established=1h30m"]\n'
    tree(root, {"etc/rancher/k3s/config.yaml.d/more.yaml": more})
    assert sentences(MAX, root, "k3s-server") == []
    place = "/etc/rancher/k3s/config.yaml.d/more.yaml:1"
    assert sentences(ESTABLISHED, root, "k3s-agent") == [f"when it starts, k3s sets 5400 ({place})"]


def test_microk8s_has_them_in_a_file_of_arguments(tmp_path: Path) -> None:
    file = "var/snap/microk8s/current/args/kube-proxy"
    root = tree(tmp_path, {file: "--cluster-cidr=10.1.0.0/16\n--conntrack-tcp-timeout-established=60s\n"})
    assert sentences(ESTABLISHED, root, "kubelite") == [f"when it starts, kubelite sets 60 (/{file}:2)"]
    assert sentences("vm.overcommit_memory", root, "kubelite") == [
        "when it starts, kubelite sets 1 (protectKernelDefaults)"
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        ({"etc/pve/firewall/cluster.fw": "[OPTIONS]\nenable: 0\n"}, []),
        ({"etc/pve/firewall/cluster.fw": "[RULES]\nenable: 1\n"}, []),
        (ENABLED, ["every 10 s, pve-firewall sets 262144 (nf_conntrack_max in /etc/pve/local/host.fw)"]),
        ({**ENABLED, HOST_FW[1:]: "[OPTIONS]\nnftables: 1\n"}, []),
        (
            # Less than the default counts for nothing.
            {**ENABLED, HOST_FW[1:]: "[OPTIONS]\nnf_conntrack_max: 196608\n"},
            [f"every 10 s, pve-firewall sets 262144 ({HOST_FW}:2)"],
        ),
    ],
)
def test_pve_firewall_as_its_files_say(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    assert sentences(MAX, tree(tmp_path, files), "pve-firewall") == expected


def test_a_file_of_pve_firewall_that_cannot_be_read_leaves_it_open(tmp_path: Path) -> None:
    root = tree(tmp_path, ENABLED)
    (root / "etc/pve/local").mkdir()
    os.mkfifo(root / HOST_FW[1:])
    assert sentences(MAX, root, "pve-firewall") == [
        f"every 10 s, pve-firewall may set it (nf_conntrack_max in {HOST_FW})"
    ]


def test_docker_as_its_file_says(tmp_path: Path) -> None:
    forward, neighbours = "net.ipv4.ip_forward", "net.ipv4.neigh.default.gc_thresh3"
    assert sentences(forward, tmp_path, "dockerd") == [
        "when it starts, dockerd sets 1 (ip-forward in /etc/docker/daemon.json)"
    ]
    assert sentences(neighbours, tmp_path, "dockerd") == [
        "with an overlay network (Swarm), dockerd may raise it to 65536 if it is lower"
    ]
    root = tree(tmp_path, {"etc/docker/daemon.json": '{"ip-forward": false}'})
    assert sentences(forward, root, "dockerd") == []
    # What is not JSON keeps docker from starting; a process that runs was started before.
    assert len(sentences(forward, tree(root, {"etc/docker/daemon.json": "{"}), "dockerd")) == 1


def test_the_snap_of_lxd_raises_what_is_lower(tmp_path: Path) -> None:
    instances = "fs.inotify.max_user_instances"
    assert sentences(instances, tmp_path, "lxd") == []
    (tmp_path / "var/snap/lxd/current").mkdir(parents=True)
    (writer,) = other_writers(instances, tmp_path, {"lxd"})
    assert sentence_of(writer) == "when it starts, lxd raises it to 1024 if it is lower"
    assert writer.leaves("1024")
    assert writer.leaves("8192")
    assert not writer.leaves("128")


def test_ufw_applies_the_file_that_its_settings_name(tmp_path: Path) -> None:
    default = "IPV6=yes\nIPT_SYSCTL=/etc/ufw/sysctl.conf # ours\n"
    files = {
        "etc/default/ufw": default,
        "etc/ufw/ufw.conf": "ENABLED=yes\n",
        "etc/ufw/sysctl.conf": "# net/ipv4/tcp_syncookies=9\nnet/ipv4/tcp_syncookies=0\n",
    }
    root = tree(tmp_path, files)
    key = "net.ipv4.tcp_syncookies"
    assert sentences(key, root) == [], "no target starts it"
    enable(root, "ufw.service")
    assert sentences(key, root) == ["when it starts or reloads, ufw sets 0 (/etc/ufw/sysctl.conf:2)"]
    assert sentences(SOMAXCONN, root) == []
    tree(root, {"etc/ufw/ufw.conf": "ENABLED=no\n"})
    assert sentences(key, root) == [], "it is disabled"
    tree(root, {"etc/ufw/ufw.conf": "ENABLED=yes\n", "etc/default/ufw": 'IPT_SYSCTL=""\n'})
    assert sentences(key, root) == [], "it applies no file"


def test_shell_assignments_as_a_shell_reads_them() -> None:
    text = "A=1\n B='x y' ; C=2\nA=\"2 3\"\n#D=4\nexport E=/etc/x # why\nF = 5\nG\n"
    assert shell_assignments(text, "/f") == {
        "A": ("2 3", "/f:3"),
        "B": ("x y", "/f:2"),
        "E": ("/etc/x", "/f:5"),
    }


def test_sap(tmp_path: Path) -> None:
    maps = "vm.max_map_count"
    files = {
        "etc/sysconfig/sapconf": "MAX_MAP_COUNT=2147483647\nSHMMNI=\n",
        "etc/sysconfig/saptune": 'NOTE_APPLY_ORDER="2382421 ../../x 1980196"\n',
        "var/lib/saptune/working/notes/2382421": (
            "[version]\nnet.core.somaxconn = 1\n[sysctl]\nnet.ipv4.tcp_tw_reuse =\n"
            "net.ipv4.tcp_max_syn_backlog = 8192\n[sysctl:os=SLE15]\nnet.core.somaxconn = 4096\n"
        ),
        "var/lib/saptune/working/notes/1980196": "[sysctl]\nvm.max_map_count=2147483647\n",
        "etc/saptune/override/1980196": "[sysctl]\nvm.max_map_count=3000000\n",
    }
    root = tree(tmp_path, files)
    assert sentences(maps, root) == []
    enable(root, "sapconf.service")
    enable(root, "saptune.service")
    assert sentences(maps, root) == [
        "when its service starts, sapconf sets 2147483647 (/etc/sysconfig/sapconf:1)",
        "when its service starts, saptune sets 3000000 (/etc/saptune/override/1980196:2)",
    ]
    note = "/var/lib/saptune/working/notes/2382421"
    assert sentences("net.ipv4.tcp_max_syn_backlog", root) == [
        f"when its service starts, saptune sets 8192 ({note}:5)"
    ]
    assert sentences(SOMAXCONN, root) == [f"when its service starts, saptune may set 4096 ({note}:7)"]
    assert sentences("net.ipv4.tcp_tw_reuse", root) == []


def test_what_cloud_init_was_given(tmp_path: Path) -> None:
    data = (
        "#cloud-config\nbootcmd:\n - sysctl -w net.core.somaxconn=2048\n# net.ipv4.tcp_syncookies=1\n"
        "write_files:\n - path: /etc/sysctl.d/net.core.rmem_max.conf\n   content: |\n"
        "     net.ipv4.ip_local_port_range = 2000 64000\n"
    )
    root = tree(tmp_path, {"var/lib/cloud/instance/user-data.txt": data})
    file = "/var/lib/cloud/instance/user-data.txt"
    assert sentences(SOMAXCONN, root) == [f"when it runs its user data, cloud-init may set 2048 ({file}:3)"]
    assert sentences("net.ipv4.ip_local_port_range", root) == [
        f"when it runs its user data, cloud-init may set 2000 64000 ({file}:8)"
    ]
    assert sentences("net.core.rmem_max", root) == sentences("net.ipv4.tcp_syncookies", root) == []


@pytest.mark.parametrize(
    ("writer", "leaves", "changes"),
    [
        (Writer("x", "sets", "2000 64000", "w", ""), ["2000\t64000"], ["2000 64001", ""]),
        (Writer("x", "raises", "8192", "w", ""), ["8192", "9000"], ["100", "a"]),
        (Writer("x", "lowers", "8192", "w", ""), ["8192", "100"], ["9000"]),
        (Writer("x", "adds", "30000-32767", "w", ""), ["80,30000-32767"], ["", "30000-32766"]),
        (Writer("x", "sets", None, "w", ""), [], ["1"]),
    ],
)
def test_whether_a_value_stays_when_it_has_written(writer: Writer, leaves: list[str], changes: list[str]) -> None:
    assert all(writer.leaves(value) for value in leaves)
    assert not any(writer.leaves(value) for value in changes)


@pytest.mark.fault("U1")
def test_hostile_text_in_their_files_is_harmless(tmp_path: Path) -> None:
    evil = "\x1b[2J"
    files = {
        "etc/default/ufw": f"IPT_SYSCTL=/etc/{evil}\n",
        "etc/ufw/ufw.conf": "ENABLED=yes\n",
        f"etc/{evil}": f"net.core.somaxconn = 1{evil}\n",
        "etc/rancher/k3s/config.yaml": f"- conntrack-min={evil}\n",
        "etc/sysconfig/saptune": "NOTE_APPLY_ORDER='1'\n",
        "etc/saptune/override/1": f"[sysctl]\nnet.core.somaxconn = 2{evil}\n",
    }
    root = tree(tmp_path, files)
    enable(root, "ufw.service")
    enable(root, "saptune.service")
    found = [*sentences(SOMAXCONN, root), *sentences(MAX, root, "k3s")]
    assert len(found) == 3
    assert not any("\x1b" in each for each in found)


def at_boot(root: Path, key: str, old: str, new: str) -> list[str]:
    """Return what the preview of a change has about the next boot."""
    now = from_snapshot(snapshot())
    here = PlanContext(values={**now.values, key: old}, netns_inode=1, boot_id="", snapshot=now.snapshot)
    (preview,) = make_plan({key: new}, replace(here, forecasts={key: forecast(root, key)})).previews
    return list(preview.at_boot)


def test_how_long_keep_alone_lasts(tmp_path: Path) -> None:
    ours = "Kept, it lasts until {}; persisted, it is also written to /etc/sysctl.d/90-sockmon.conf, which wins."
    root = tree(tmp_path, {}, "sshd")
    assert ours.format("the next reboot") in at_boot(root, MAX, "262144", "300000")
    tree(root, {"etc/sysctl.d/10-a.conf": f"{MAX} = 262144\n"})
    applied = "sysctl.d is applied again (a package may do that)"
    assert ours.format(applied) in at_boot(root, MAX, "262144", "300000")
    assert "A file sets this value already: it need not be persisted." in at_boot(root, MAX, "300000", "262144")
    tree(root, ENABLED, "pve-firewall")
    said = at_boot(root, MAX, "262144", "300000")
    until = f"pve-firewall writes it again (every 10 s) or {applied}"
    assert ours.format(until).replace("wins.", "wins among the files.") in said
    assert f"No file of sysctl.d holds against pve-firewall: change nf_conntrack_max in {HOST_FW}." in said


def test_a_persisted_value_holds_against_tuned_which_applies_sysctl_d_again(tmp_path: Path) -> None:
    files = {"etc/tuned/active_profile": "x\n", "etc/tuned/x/tuned.conf": "[sysctl]\nnet.core.somaxconn=2048\n"}
    root = tree(tmp_path, files, "tuned")
    said = "\n".join(at_boot(root, SOMAXCONN, "4096", "8192"))
    assert "Kept, it lasts until tuned writes it again (when it starts or stops); persisted," in said
    assert "holds against" not in said
    tree(root, {"etc/tuned/tuned-main.conf": "reapply_sysctl = 0\n"})
    said = "\n".join(at_boot(root, SOMAXCONN, "4096", "8192"))
    assert "No file of sysctl.d holds against tuned: change /etc/tuned/x/tuned.conf:2." in said


def test_a_program_that_leaves_the_value_alone_ends_nothing(tmp_path: Path) -> None:
    key = "fs.inotify.max_user_instances"
    (tmp_path / "var/snap/lxd/current").mkdir(parents=True)
    root = tree(tmp_path, {}, "lxd")
    assert any("until the next reboot" in line for line in at_boot(root, key, "128", "4096"))
    lower = at_boot(root, key, "1024", "512")
    assert any("until lxd writes it again (when it starts)" in line for line in lower)
    assert "No file of sysctl.d holds against lxd." in lower


def test_a_file_in_run_is_gone_after_a_reboot(tmp_path: Path) -> None:
    key = "net.ipv4.ip_forward"
    lines = {f"run/sysctl.d/{name}.conf": f"{SOMAXCONN} = 1\n" for name in ("10-netavark-podman0", "99-mine")}
    found = forecast(tree(tmp_path, lines), SOMAXCONN).managers
    assert found == (
        "/run/sysctl.d/10-netavark-podman0.conf is gone after a reboot, unless podman writes it again",
        "/run/sysctl.d/99-mine.conf is gone after a reboot, unless something writes it again",
    )
    assert forecast(tmp_path, MAX).managers == ()
    assert sentences(key, tmp_path, "aardvark-dns") == [
        "when it creates a bridge network, podman may set 1 (an internal network does not)"
    ]


def listed_at_boot(root: Path, key: str) -> str:
    now = from_snapshot(snapshot())
    here = replace(now, forecasts={key: forecast(root, key)})
    return catalog.boot_value(catalog.rows([key], here, None)[0])


def test_the_list_has_the_value_that_a_program_leaves_after_each_boot(tmp_path: Path) -> None:
    key = "kernel.pid_max"
    root = tree(tmp_path, {"etc/sysctl.d/50-a.conf": f"{key} = 131072\n{MAX} = 262144\n"}, "tuned", "kube-proxy")
    assert listed_at_boot(root, key) == "131072"
    profile = {"etc/tuned/active_profile": "x\n", "etc/tuned/x/tuned.conf": f"[sysctl]\n{key}=65536\n"}
    assert listed_at_boot(tree(root, profile), key) == "131072", "tuned applies sysctl.d again"
    assert listed_at_boot(tree(root, {"etc/tuned/tuned-main.conf": "reapply_sysctl=0\n"}), key) == "65536"
    # It only raises, and leaves a higher value alone.
    raises = {"etc/tuned/x/tuned.conf": f"[sysctl]\n{key}=>65536\n{SOMAXCONN}=>100\n"}
    assert listed_at_boot(tree(root, raises), key) == "131072"
    assert listed_at_boot(root, SOMAXCONN) == "–", "what it starts with is not known"
    # kube-proxy may, and pve-firewall does.
    assert listed_at_boot(root, MAX) == "262144"
    tree(root, {**ENABLED, HOST_FW[1:]: "[OPTIONS]\nnf_conntrack_max: 524288\n"}, "tuned", "pve-firewall")
    assert listed_at_boot(root, MAX) == "524288"
    tree(
        root,
        {"var/snap/microk8s/current/args/kube-proxy": "--conntrack-min=9000000\n"},
        "pve-firewall",
        "kubelite",
    )
    assert listed_at_boot(root, MAX) == "by pve-firewall"


def test_who_has_written_a_value_that_drifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, {**ENABLED, HOST_FW[1:]: "[OPTIONS]\nnf_conntrack_max: 524288\n"})
    (writer,) = who_wrote(MAX, "400000", "524288", root, ["pve-firewall"])
    assert writer.name == "pve-firewall"
    assert who_wrote(MAX, "400000", "5", root, ["pve-firewall"]) == ()
    assert who_wrote(MAX, "524288", "524288", root, ["pve-firewall"]) == ()
    assert who_wrote(MAX, "400000", "524288", root, ["sshd"]) == ()
    profile = {"etc/tuned/active_profile": "x\n", "etc/tuned/x/tuned.conf": f"[sysctl]\n{SOMAXCONN}=2048\n"}
    assert who_wrote(SOMAXCONN, "1", "2048", tree(root, profile), ["sshd"]) == (), "tuned does not run"
    drift = Drift(SOMAXCONN, "4096", "2048", "id", message="it drifted")
    monkeypatch.setattr(helper_drift, "process_names", lambda: {"tuned"})
    words = helper_drift._with_writers(drift, root).message
    assert words == "it drifted; when it starts or stops, tuned sets 2048 (/etc/tuned/x/tuned.conf:2)"
