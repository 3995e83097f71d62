"""Files that an earlier version wrote are still read: a recording, its report, a journal, a history.

`older_files/` was written by commit e492bed in a private namespace: a listener, a change that was kept, and one
that was pending (the journal) and then rolled back.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from sockmon.cli.check import as_json
from sockmon.model.plan import Setting
from sockmon.model.snapshot import OUTER_TASKS
from sockmon.model.transaction import Transaction
from sockmon.observe import report_of_recording
from sockmon.sources.replay import Replay
from sockmon.tuning.transaction.history import newest
from sockmon.tuning.transaction.journal import VERSION, parse
from sockmon.tuning.transaction.recovery import recover
from sockmon.tuning.transaction.state_dirs import StateDirs

OLDER = Path(__file__).parent / "older_files"
CHANGED = Setting("net.ipv4.tcp_max_tw_buckets", "131072", "16384")


def test_a_recording_is_read_whole_and_judged_as_it_was_then() -> None:
    assert len(list(Replay(str(OLDER / "recording.jsonl"), pace=False).lines())) == 3
    report = json.loads(as_json(report_of_recording(str(OLDER / "recording.jsonl"))))
    before = json.loads((OLDER / "check.json").read_text())
    assert set(before) <= set(report)
    # The tasks outside of its pid namespace are in the recording, but were not reported then.
    readers = [each["reader"] for each in report["missing"] if each["reader"] != OUTER_TASKS]
    assert [each["reader"] for each in before["missing"]] == readers
    found = {(row["ceiling"], row["subject"]): row for row in report["readings"]}
    for row in before["readings"]:
        now = found[row["ceiling"], row["subject"]]
        assert set(row) <= set(now)
        for field in ("scope", "used", "limit", "ratio", "severity"):
            assert (field, now[field]) == (field, row[field]), row["ceiling"]


def test_a_journal_has_the_old_and_the_new_values() -> None:
    story = parse((OLDER / "journal.wal").read_bytes())
    assert story.begin is not None
    assert (story.begin.version, story.damaged) == (VERSION, False)
    assert story.begin.plan.settings == (CHANGED,)
    assert (story.written, story.readback, story.kept, story.rolling_back) == ({0}, {0: "16384"}, False, False)


@pytest.mark.parametrize("name", ["kept", "reverted"])
def test_a_transaction_of_the_history_is_read(name: str) -> None:
    found = msgspec.json.decode((OLDER / f"{name}.json").read_bytes(), type=Transaction)
    assert found.state == name
    assert found.plan.settings[-1] == (
        CHANGED if name == "reverted" else Setting("net.ipv4.ip_local_port_range", "32768 60999", "10240 60999")
    )


def test_an_older_journal_is_ended_after_a_reboot_and_listed_with_the_older_history(tmp_path: Path) -> None:
    raw = (OLDER / "journal.wal").read_bytes()
    begin = parse(raw).begin
    assert begin is not None
    for below in ("run/sockmon/txn", "var/lib/sockmon/history"):
        (tmp_path / below).mkdir(parents=True)
    for folder in ("run/sockmon", "run/sockmon/txn", "var/lib/sockmon", "var/lib/sockmon/history"):
        (tmp_path / folder).chmod(0o700)
    journal = tmp_path / "run/sockmon/txn" / f"{begin.id}.wal"
    journal.write_bytes(raw)
    journal.chmod(0o600)
    kept = (OLDER / "kept.json").read_bytes()
    id = msgspec.json.decode(kept, type=Transaction).id
    (tmp_path / f"var/lib/sockmon/history/{id}.json").write_bytes(kept)
    recover(str(tmp_path))
    places = StateDirs(str(tmp_path))
    try:
        assert [(each.id, each.state) for each in newest(places)] == [(begin.id, "rebooted"), (id, "kept")]
    finally:
        places.close()
    assert not journal.exists()
