"""The settings of another network namespace: requested by it, and those of the one before are not shown for it."""

from __future__ import annotations

from sockmon.model.current_settings import CurrentSettings
from sockmon.model.helper_protocol import ReadSettings, SettingsRead
from sockmon.model.plan import NetnsTarget
from sockmon.tuning.planning.context import from_snapshot, target_of
from sockmon.ui.tuning.session import HelperSession
from tests.snapshots import netns, snapshot
from tests.ui.fake_helper import SOMAXCONN, FakeHelper

WEB = NetnsTarget(7, "web", "812", 99, "container", "docker")


def _read(inode: int, value: str) -> SettingsRead:
    return SettingsRead(CurrentSettings(values={SOMAXCONN: value}, netns_inode=inode, boot_id="b"), "")


def test_the_settings_of_one_namespace_are_not_taken_for_those_of_another() -> None:
    helper = FakeHelper(script=lambda request: [])
    session = HelperSession(helper)
    session.ask(ReadSettings((SOMAXCONN,)))
    session.plan_in(WEB)
    session.ask(ReadSettings((SOMAXCONN,)))
    assert helper.asked == [ReadSettings((SOMAXCONN,)), ReadSettings((SOMAXCONN,), WEB)]
    # The answer to the first request comes when the second has been sent.
    session.on_answer(_read(1, "128"))
    assert session.settings is None
    session.on_answer(_read(7, "4096"))
    assert session.settings is not None
    assert session.settings.values == {SOMAXCONN: "4096"}
    session.plan_in(WEB)
    assert session.settings is not None
    session.plan_in(None)
    assert session.settings is None


def test_without_a_helper_they_come_from_the_sample_of_that_namespace() -> None:
    web = netns(inode=7, name="web", entry="812", cookie=99, kind="container", runtime="docker")
    both = snapshot(netns=(netns(inode=1, sysctls={SOMAXCONN: "1"}), web))
    assert target_of(web) == WEB
    assert from_snapshot(both, inode=7).netns_inode == 7
    assert from_snapshot(both).values[SOMAXCONN] == "1"
