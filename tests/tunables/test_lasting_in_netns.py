"""What makes a sysctl of a network namespace last: for each runtime what it must be told, no file of the host."""

from __future__ import annotations

import pytest

from sockmon.model.plan import NetnsTarget, Plan, Setting
from sockmon.tunables.lasting_in_netns import NO_FILE_APPLIES, lasting, not_persisted_message

SOMAXCONN, RANGE = "net.core.somaxconn", "net.ipv4.ip_local_port_range"


@pytest.mark.parametrize(
    ("kind", "runtime", "how"),
    [
        ("container", "docker", "`docker run --sysctl net.core.somaxconn=8192 …`"),
        ("container", "docker", "Compose with `sysctls: [net.core.somaxconn=8192]`"),
        ("container", "nerdctl", "`nerdctl run --sysctl net.core.somaxconn=8192 …`"),
        ("container", "podman", "Quadlet it is `Sysctl=net.core.somaxconn=8192`"),
        ("container", "lxc", "`lxc.sysctl.net.core.somaxconn = 8192` to /var/lib/lxc/web/config"),
        ("container", "incus", "`incus config set web linux.sysctl.net.core.somaxconn=8192`"),
        ("container", "lxd", "`lxc config set web linux.sysctl.net.core.somaxconn=8192`"),
        ("container", "runc", '`"net.core.somaxconn": "8192"` to linux.sysctl in config.json'),
        ("container", "unheard-of", "What makes the namespace must set it"),
        ("pod", "cri-o", 'sysctls: [{name: net.core.somaxconn, value: "8192"}]'),
        ("pod", "cri-o", "allowedUnsafeSysctls: [net.core.somaxconn]"),
        ("machine", "machined", "`net.core.somaxconn = 8192` to a file in /etc/sysctl.d of the machine"),
        ("unit", "", "`ExecStartPre=+sysctl -w net.core.somaxconn=8192` to web"),
        ("netns", "", "ip netns exec web sysctl -w net.core.somaxconn=8192"),
        ("", "", "What makes the namespace must set it"),
    ],
)
def test_each_runtime_is_told_in_its_own_way(kind: str, runtime: str, how: str) -> None:
    target = NetnsTarget(7, "web", "812", kind=kind, runtime=runtime)
    ends, found = lasting(target, SOMAXCONN, "8192")
    assert ends == "No sysctl.d file applies to network namespace web, and the value ends with it."
    assert how in found


def test_a_safe_sysctl_needs_no_permission_of_the_kubelet() -> None:
    (_, found) = lasting(NetnsTarget(7, "shop/web-0", "812", kind="pod"), RANGE, "1024 65535")
    assert "a safe sysctl" in found
    assert "allowedUnsafe" not in found


def test_a_plan_that_cannot_be_persisted_says_what_lasts_instead() -> None:
    settings = (Setting(SOMAXCONN, "4096", "8192"), Setting(RANGE, "32768 60999", "1024 65535"))
    target = NetnsTarget(7, "web\x1b[2J", "812", kind="container", runtime="docker")
    found = not_persisted_message(Plan(settings, 7, "b", target=target))
    assert "which does not apply to network namespace web" in found
    assert "--sysctl net.core.somaxconn=8192" in found
    assert "--sysctl 'net.ipv4.ip_local_port_range=1024 65535'" in found
    assert "\x1b" not in found
    assert lasting(None, SOMAXCONN, "8192") == (NO_FILE_APPLIES,)
