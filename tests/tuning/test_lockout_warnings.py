"""Changes after which nobody can log in: fs.nr_open below what the configuration asks for, too few ids."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from msgspec.structs import replace

from sockmon.kernel.limit_origin.configured import find_configured
from sockmon.model.limit_origin import ConfiguredLimit, ConfiguredLimits
from sockmon.model.plan import Preview
from sockmon.model.snapshot import Files, Tasks
from sockmon.tuning.planning.context import PlanContext, from_snapshot
from sockmon.tuning.planning.plan import make_plan
from sockmon.tuning.planning.proposal_pages import as_json, pages
from tests.snapshots import snapshot

NR_OPEN, PID_MAX, THREADS = "fs.nr_open", "kernel.pid_max", "kernel.threads-max"
FILE = "/etc/security/limits.d/90-mine.conf"
ROOT = ConfiguredLimit(f"{FILE}:1", "root hard nofile 500000", 500000, "login", "root")
ALL = ConfiguredLimit(f"{FILE}:2", "* hard nofile 500000", 500000, "login", "*")
UNIT = ConfiguredLimit("/etc/systemd/system/a.service:3", "LimitNOFILE=infinity", -1, "unit")


def here(
    *rows: ConfiguredLimit, refuses: bool = True, tasks: int = 100, unread: tuple[str, ...] = ()
) -> PlanContext:
    """Return an invented host whose configuration asks for `rows`."""
    found = replace(snapshot(), tasks=Tasks(tasks, 32768, 100000), files=Files(100, 2_000_000, 1048576))
    now = from_snapshot(found)
    values = {**now.values, NR_OPEN: "1048576", PID_MAX: "32768", THREADS: "100000", "fs.file-max": "2000000"}
    configured = ConfiguredLimits(rows, unread, refuses, ("sshd", "sudo"))
    return dataclasses.replace(now, values=values, configured_limits=configured)


def preview(key: str, value: str, where: PlanContext) -> Preview:
    (only,) = make_plan({key: value}, where).previews
    return only


def dangers(key: str, value: str, where: PlanContext) -> list[str]:
    return [each.text for each in preview(key, value, where).warnings if each.severe]


def test_a_line_of_limits_conf_above_the_new_value_ends_logins() -> None:
    (text,) = dangers(NR_OPEN, "200000", here(ROOT, ALL))
    assert text.startswith("nobody can log in again (sshd, sudo): ")
    assert f"{FILE}:1 (root hard nofile 500000), {FILE}:2 (* hard nofile 500000) ask for more" in text
    assert "above 200,000 (EPERM), and pam_limits ends the session" in text
    (text,) = dangers(NR_OPEN, "200000", here(ROOT))
    assert text.startswith("root cannot log in again")


def test_debian_goes_on_without_the_limit() -> None:
    (text,) = dangers(NR_OPEN, "200000", here(ROOT, refuses=False))
    assert "pam_limits here (sshd, sudo) logs that and leaves the limit as it is" in text
    assert "cannot log in" not in text


def test_a_unit_that_asks_for_more_does_not_start() -> None:
    (text,) = dangers(NR_OPEN, "200000", here(UNIT))
    assert "/etc/systemd/system/a.service:3 (LimitNOFILE=infinity) asks for more" in text
    assert "205/LIMITS" in text


def test_what_is_high_enough_or_raised_is_no_danger() -> None:
    assert not dangers(NR_OPEN, "500000", here(ROOT, ALL))
    assert not dangers(NR_OPEN, "2000000", here(ROOT, ALL, UNIT))


def test_a_file_that_cannot_be_read_may_ask_for_more() -> None:
    where = here(unread=(f"{FILE}: Permission denied",))
    texts = [each.text for each in preview(NR_OPEN, "200000", where).warnings]
    assert f"{FILE}: Permission denied: it may ask for more" in texts


def test_few_ids_are_left() -> None:
    (text,) = dangers(PID_MAX, "350", here())
    assert "at most 50 ids for all tasks, with 100 in use" in text
    assert not dangers(PID_MAX, "20000", here())
    (text,) = dangers(THREADS, "1100", here(tasks=1090))
    assert "room for 10 more tasks, with 1,090 in use" in text
    assert not dangers(THREADS, "5000", here())


def test_a_danger_stands_before_the_warnings_and_has_a_field() -> None:
    found = make_plan({NR_OPEN: "200000"}, here(ROOT))
    sections = next(sections for _, _, sections in pages(found) if sections)
    kinds = [section.kind for section in sections]
    assert kinds.index("danger") == kinds.index("effect") + 1
    (content,) = json.loads(as_json(found))["previews"]
    assert content["dangers"] == dangers(NR_OPEN, "200000", here(ROOT))
    assert set(content["dangers"]) <= set(content["warnings"])


def test_what_the_configuration_of_a_host_asks_for(tmp_path: Path) -> None:
    lines = {
        "etc/security/limits.conf": "* soft nofile 99\n@staff hard nofile 70000\n",
        "etc/security/limits.d/a.conf": "root - nofile unlimited\n%web hard maxlogins 3\n",
        "etc/systemd/user.conf": "[Manager]\nDefaultLimitNOFILE=1:2\n",
        "etc/systemd/system/a.service.d/x.conf": "[Service]\nLimitNOFILE=5:600\n",
        "lib/systemd/system/a.service": "[Service]\nLimitNOFILE=7\n",
        "etc/pam.d/sshd": "session required pam_limits.so\n",
        "etc/pam.d/other": "session required pam_deny.so\n",
        "run/systemd/system/.keep": "",
    }
    for name, text in lines.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    found = find_configured("nofile", str(tmp_path))
    assert [(row.at, row.hard, row.kind) for row in found.rows] == [
        ("/etc/security/limits.conf:2", 70000, "login"),
        ("systemd, without DefaultLimitNOFILE=", 524288, "manager"),
        ("/etc/systemd/user.conf:2", 2, "manager"),
        ("/lib/systemd/system/a.service:2", 7, "unit"),
        ("/etc/systemd/system/a.service.d/x.conf:2", 600, "unit"),
    ]
    assert found.login_programs == ("sshd",)
    assert found.refuses_login
    assert not found.unread
