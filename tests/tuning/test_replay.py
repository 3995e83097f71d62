"""The replay of a boot: what all writes together leave, in their order."""

from __future__ import annotations

from sockmon.tuning.boot.kernel_write import Kernel
from sockmon.tuning.boot.replay import BootWrite, UnreadWrites, replay

RANGE, START = "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"


def wrote(key: str, value: str, source: str = "/etc/sysctl.d/50-a.conf:1") -> BootWrite:
    return BootWrite(key.replace(".", "/"), value.encode(), source)


def test_a_range_below_the_port_start_of_that_moment_is_refused() -> None:
    wide, low = wrote(RANGE, "900 64000"), wrote(START, "900")
    found = replay([wide, low])
    assert (found.of(RANGE).value, found.of(START).value) == (None, "900")
    (refused,) = found.of(RANGE).refused
    assert (refused.write, refused.outcome.errno) == (wide, "EINVAL")
    assert replay([low, wide]).of(RANGE).value == "900 64000"
    assert replay([wrote(RANGE, "3000 64000"), wide, low]).of(RANGE).value == "3000 64000"


def test_names_of_one_number_are_one_number() -> None:
    one, other = wrote("net.netfilter.nf_conntrack_max", "393216"), wrote("net.nf_conntrack_max", "98304")
    for key in ("net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"):
        assert replay([one, other]).of(key).value == "98304"
        assert replay([other, one]).of(key).value == "393216"
    assert replay([one, other]).of("net.nf_conntrack_max").replaced == (one,)
    watches = wrote("user.max_inotify_watches", "5000")
    assert replay([watches]).of("fs.inotify.max_user_watches").decided_by == watches


def test_what_was_not_read_may_have_written_anything() -> None:
    early, unread = wrote("net.core.somaxconn", "1"), UnreadWrites("/etc/sysctl.d/60-x.conf: Permission denied")
    assert replay([early, unread]).of("net.core.somaxconn").unknown == unread.reason
    assert replay([unread]).of("net.core.somaxconn").unknown == unread.reason
    # A later line of the key itself decides, unless the kernel asks another key first.
    assert replay([unread, early]).of("net.core.somaxconn").value == "1"
    found = replay([unread, wrote(START, "900"), wrote(RANGE, "1100 64000")])
    assert all("not known" in found.of(key).unknown for key in (START, RANGE))


def test_a_file_that_this_kernel_lacks_takes_no_value() -> None:
    delay = wrote("net.ipv4.tcp_tw_reuse_delay", "5")
    found = replay([delay], Kernel(missing={delay.path: "it came with Linux 6.14"})).of(
        "net.ipv4.tcp_tw_reuse_delay"
    )
    assert (found.value, found.unknown, found.refused[0].outcome.errno) == (None, "", "ENOENT")
