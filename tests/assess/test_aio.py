"""The verdict on the asynchronous requests of the host."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.model.report import Reading
from sockmon.model.snapshot import Maps, Missing, ProcessAio
from tests.assess.test_assessor import assess, reading
from tests.snapshots import HOST_SYSCTLS, snapshot

MYSQL = ProcessAio(1044, 7, "mysqld", 10, 2800)


def reserved(used: int, limit: int = 65_536, *holders: ProcessAio, unseen: int = 0) -> Reading:
    sysctls = {**HOST_SYSCTLS, "fs.aio-nr": str(used), "fs.aio-max-nr": str(limit)}
    maps = replace(snapshot().maps or Maps(0.0, (), 0, 0), aio=holders, unseen=unseen)
    return reading(assess(snapshot(0.0, sysctls=sysctls, maps=maps)), "aio-events")


def test_levels() -> None:
    for used, severity in ((0, "ok"), (52_000, "ok"), (53_000, "warning"), (63_000, "critical"), (65_536, "hit")):
        found = reserved(used)
        assert (found.severity, found.used, found.limit, found.scope) == (severity, used, 65_536, "host")


def test_the_holder_is_named_and_the_sysctl_raised() -> None:
    found = reserved(65_536, 65_536, replace(MYSQL, most_requests=70_000))
    assert any("mysqld[1044]" in line for line in found.evidence)
    assert [(item.kind, item.key, item.value) for item in found.remedies] == [
        ("sysctl", "fs.aio-max-nr", "1048576"),
        ("application", None, None),
    ]
    assert "mysqld[1044]" in found.remedies[1].text


def test_with_a_generous_limit_the_application_comes_first() -> None:
    assert reserved(1 << 20, 1 << 20).remedies[0].kind == "application"


def test_what_is_held_by_others_is_not_blamed_on_those_that_are_seen() -> None:
    assert not any("not known" in line for line in reserved(2_800, 65_536, MYSQL).evidence)
    assert any("not known" in line for line in reserved(2_801, 65_536, MYSQL).evidence)
    assert any("3 processes" in line for line in reserved(60_000, 65_536, unseen=3).evidence)


def test_a_kernel_that_does_not_show_it_is_unknown() -> None:
    hidden = {key: value for key, value in HOST_SYSCTLS.items() if not key.startswith("fs.aio")}
    assert reading(assess(snapshot(0.0, sysctls=hidden)), "aio-events").severity == "unknown"
    refused = (Missing("fs.aio-nr", "may not be read by this user"),)
    found = reading(assess(snapshot(0.0, sysctls=hidden, missing=refused)), "aio-events")
    assert (found.severity, found.missing) == ("unknown", refused)
