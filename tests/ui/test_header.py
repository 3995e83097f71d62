"""Header and banner: the host, the age of the data, and what was dropped."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from sockmon.assess import Assessment, Assessor
from sockmon.errors import SourceLost
from sockmon.model.snapshot import Cgroups, NetnsMember, NetnsName, OtherNetns, Snapshot, Tasks
from sockmon.settings import Settings
from sockmon.sources import Interruption
from sockmon.sources.recording_damage import Damage
from sockmon.ui import workers
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.header import StreamStatus, banner, header_line
from sockmon.ui.messages import Sampled, SourceInterrupted, SourceNoted
from sockmon.ui.messages import SourceLost as Lost
from tests.ui import fake_app
from tests.ui.fake_helper import until
from tests.ui.main_app import play, text

WIDTHS = [40, 60, 71, 80, 111, 151, 200]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "status",
    [
        StreamStatus("ssh web-1", True, False, False, 0.0, None, remote=True),
        StreamStatus("ssh web-1", True, True, True, 0.0, None, remote=True),
        StreamStatus("ssh web-1", True, False, False, 9.0, "it ended", remote=True),
        StreamStatus("ssh web-1", True, False, False, 9.0, None, "ssh exited (signal 9)", 4.0, remote=True),
    ],
    ids=["live", "paused", "lost", "interrupted"],
)
def test_another_host_is_named_at_every_width(width: int, status: StreamStatus) -> None:
    for snapshot in (None, fake_app.busy(70)):
        line = header_line(snapshot, status, width)
        assert "ssh web-1" in line.plain
        assert line.cell_len <= width


@pytest.mark.parametrize("width", range(20, 90, 5))
def test_a_long_name_of_a_host_fits_any_width(width: int) -> None:
    status = StreamStatus("ssh web-frontend-01.example.org:2222", True, False, False, 0.0, None, remote=True)
    line = header_line(fake_app.busy(70), status, width)
    assert "ssh web-front" in line.plain
    assert line.cell_len <= width


def test_the_local_host_is_called_live() -> None:
    line = header_line(fake_app.busy(70), StreamStatus("live", True, False, False, 0.0, None), 151).plain
    assert "live 1 s" in line
    assert "ssh" not in line


@pytest.mark.parametrize(("wait", "words"), [(3.2, "restarting in 4 s"), (-1.0, "restarting now")])
def test_the_banner_of_an_exited_agent_has_the_age_of_the_data(wait: float, words: str) -> None:
    status = StreamStatus("live", True, False, False, 12.0, None, "agent exited (signal 9)", wait)
    said = banner(fake_app.busy(70), status)
    assert said == f"agent exited (signal 9): {words}. The data shown is 12 s old."
    assert "stale 12 s" in header_line(fake_app.busy(70), status, 80).plain
    assert banner(None, status._replace(hint="see dmesg")).endswith("12 s old (see dmesg).")


async def test_the_next_sample_removes_the_banner() -> None:
    async with play(size=(80, 24)) as (app, pilot, source):
        source.emit(Interruption("agent [/red] exited (signal 9)", time.monotonic() + 100))
        await until(pilot, lambda: "agent [/red] exited (signal 9): restarting in " in text(app))
        assert "28,232/28,232" in text(app)
        await pilot.press("r")
        assert source.retried == 1
        source.step()
        await until(pilot, lambda: "restarting" not in text(app))
        assert "live 1 s" in text(app)


def told(app: SockmonApp) -> str:
    """Return the notifications, which are not drawn in tests."""
    return " ".join(each.message for each in app._notifications)


async def test_an_interruption_is_a_notification_on_other_screens() -> None:
    async with play(size=(80, 24)) as (app, pilot, source):
        await pilot.press("?")
        source.emit(Interruption("agent [/red] exited (signal 9)", time.monotonic() + 100))
        await until(pilot, lambda: told(app) != "")
        assert told(app) == "agent [/red] exited (signal 9): the data shown is old until the agent runs again"


async def test_damage_is_noted_and_the_screen_goes_on() -> None:
    async with play(size=(80, 24)) as (app, pilot, source):
        source.emit(Damage(120, 3, 17, "number out of range"))
        await until(pilot, lambda: "3 of 120 lines are damaged: first at line 17" in text(app))
        source.step()
        await until(pilot, lambda: "903/1,024" in text(app))


class Fails(fake_app.FakeAssessor):
    """An assessor that fails from a certain sample on."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good

    def add(self, snapshot: Snapshot) -> Assessment:
        self.good -= 1
        if self.good < 0:
            raise ZeroDivisionError("division by zero")
        return super().add(snapshot)


def posted(assessor: Assessor, *lines: object) -> list[object]:
    """Return what the reader thread posts for a source with these lines."""
    source = fake_app.FakeSource()
    for line in lines:
        source.emit(line)  # type: ignore[arg-type]
    source.close()
    found: list[object] = []
    workers.read_source(source, assessor, found.append)
    return found


def test_a_sample_that_cannot_be_assessed_is_dropped() -> None:
    found = posted(Fails(1), fake_app.busy(61), fake_app.busy(62))
    assert [type(each) for each in found] == [Sampled, SourceNoted, Lost, SourceNoted]
    assert isinstance(found[-1], SourceNoted)
    assert found[-1].text == "2 samples cannot be assessed: ZeroDivisionError: division by zero"


def test_a_source_without_an_assessable_sample_is_an_error() -> None:
    found = posted(Fails(0))
    assert isinstance(found[0], Lost)
    assert found[0].error is not None
    assert "ZeroDivisionError" in found[0].error.message


def test_a_thousand_damaged_lines_give_few_notes() -> None:
    found = posted(fake_app.FakeAssessor(), *(Damage(n, n, 1, "no JSON") for n in range(1, 1000)))
    notes = [each for each in found if isinstance(each, SourceNoted)]
    assert len(notes) < 100
    assert notes[-1].text.startswith("999 of 999 lines are damaged")


@pytest.mark.fault("R26")
def test_only_the_newest_sample_waits_for_a_blocked_screen() -> None:
    """Or each second of an unread terminal adds a Snapshot of up to 32 MB."""
    found = posted(fake_app.FakeAssessor(), *(fake_app.busy(tick) for tick in range(61, 200)))
    samples = [each for each in found if isinstance(each, Sampled)]
    assert len(samples) == 1
    assert samples[0].take().snapshot == fake_app.busy(199)
    assert not samples[0].replace(samples[0].assessment)


def test_an_interruption_is_posted() -> None:
    event = Interruption("agent exited (signal 9)", 1.0)
    assert SourceInterrupted(event) in posted(fake_app.FakeAssessor(), event)


async def test_a_host_that_was_never_reached_ends_the_screen_with_the_reason() -> None:
    source = fake_app.FakeSource()
    source._lines.get()
    source.emit(SourceLost("ssh exited (status 255): no route to host"))
    app = SockmonApp(source, Settings(theme="sockmon"), assessor=fake_app.FakeAssessor())
    async with app.run_test():
        pass
    assert app.failure is not None
    assert "no route to host" in app.failure.message


OTHERS = OtherNetns(0.0, 3, 40, (NetnsMember(812, "gateway", 4, 2001),), 3)


@pytest.mark.parametrize(
    ("width", "said"),
    [(60, "netns host +3"), (111, "+3 not sampled"), (151, "(3 other not sampled: --netns 812)")],
)
def test_namespaces_that_are_not_sampled_are_counted(width: int, said: str) -> None:
    status = StreamStatus("live", True, False, False, 0.0, None)
    seen = replace(fake_app.calm(70), other_netns=OTHERS)
    line = header_line(seen, status, width)
    assert said in line.plain
    assert line.cell_len <= width
    assert "+3" not in header_line(fake_app.calm(70), status, width).plain


@pytest.mark.parametrize(
    ("name", "shown"), [("shop/web-0", "shop/web-0"), ("two words", "'two words'"), ("long-" * 9, "812")]
)
def test_a_namespace_is_named_if_the_name_is_short(name: str, shown: str) -> None:
    status = StreamStatus("live", True, False, False, 0.0, None)
    called = NetnsMember(812, "gateway", 4, 2001, 1, NetnsName("pod", name), name)
    seen = replace(fake_app.calm(70), other_netns=OtherNetns(0.0, 3, 40, (called,), 3))
    line = header_line(seen, status, 151).plain
    assert f"(3 other not sampled: --netns {shown})" in line
    assert "root" in line


def test_processes_that_this_user_may_not_read_are_counted() -> None:
    status = StreamStatus("live", True, False, False, 0.0, None)
    seen = fake_app.unprivileged(70)
    assert seen.processes is not None
    unseen = replace(seen, processes=replace(seen.processes, unseen=12))
    assert "(12 processes not read: sudo)" in header_line(unseen, status, 151).plain
    hidden = replace(seen, processes=replace(seen.processes, unseen=0, hidden="hidepid"))
    assert "(other users not read: sudo)" in header_line(hidden, status, 151).plain
    # A narrow line has the number at least.
    assert "alice +12 " in header_line(unseen, status, 80).plain
    assert "alice +? " in header_line(hidden, status, 80).plain


def test_a_container_does_not_judge_the_host_around_it() -> None:
    status = StreamStatus("live", True, False, False, 0.0, None)
    seen = fake_app.calm(70)
    assert seen.processes is not None
    visible = sum(row.threads for row in seen.processes.rows)
    inside = replace(seen, tasks=Tasks(visible + 300, 32768, 96000, initial=False, namespace=77))
    above = replace(seen, cgroups=Cgroups(0.0, (), (), hidden=True))
    assert "container: 300 tasks of the host not judged" in header_line(inside, status, 220).plain
    assert "container: the host not judged" in header_line(above, status, 220).plain
    for changed in (inside, above):
        assert "container" in header_line(changed, status, 111).plain
    assert "container" not in header_line(seen, status, 220).plain
