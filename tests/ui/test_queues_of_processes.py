"""Data that waits in sockets, on the screens: of one process, in the wide table, and who holds the memory."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.model.snapshot import Owner, QueueOwner, TcpQueues, UdpPorts
from sockmon.ui.detail.owners import owners_line
from sockmon.ui.detail.process import ProcessScreen
from sockmon.ui.main.gauge_cells import UNKNOWN_GAUGE
from sockmon.ui.main.panes.processes import QUEUES, WIDE, ProcessRow, columns
from tests.snapshots import netns, process, snapshot
from tests.ui import detail_app
from tests.ui.detail_app import PROCESS, DetailApp

MIB = 1 << 20
HELD = (
    QueueOwner(Owner(7, 1, "archive", 20), 60 * MIB, 0, 64 * MIB),
    QueueOwner(Owner(8, 1, "producer", 20), 0, 2 * MIB, None),
)


@pytest.mark.parametrize("known", [True, False])
async def test_the_page_of_a_process_shows_its_queues_if_they_are_known(known: bool) -> None:
    queues = {"recv_queue": 60 * MIB, "send_queue": 3 * MIB} if known else {}
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail(**queues))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        identity = detail_app.text_of(screen, "#identity")
        assert ("Recv-Q 60 M · Send-Q 3.0 M" in identity, "-Q" in identity) == (known, known)


def test_a_wide_table_has_the_queues_and_a_dash_is_not_a_zero() -> None:
    assert [column in columns(WIDE) for column in QUEUES] == [True, True]
    assert [column in columns(WIDE - 1) for column in QUEUES] == [False, False]
    cells = [
        [str(column.text(ProcessRow(row, UNKNOWN_GAUGE))) for column in QUEUES]
        for row in (process(), process(recv_queue=60 * MIB, send_queue=0), process(recv_queue=MIB, sampled=True))
    ]
    assert cells == [["–", "–"], ["60 M", "0 B"], ["~1.0 M", "–"]]


@pytest.mark.parametrize("ceiling", ["tcp-memory", "udp-memory"])
def test_memory_is_that_of_who_holds_it_and_not_of_who_has_many_sockets(ceiling: str) -> None:
    tcp = TcpQueues(0.0, 60 * MIB, 2 * MIB, 66 * MIB, 40, HELD, 0, 0, ())
    udp = UdpPorts(0.0, 32768, 60999, 0, 1, 28232, (), (), 62 * MIB, HELD)
    idle = process(pid=9, name="innocent", sockets=200)
    now = snapshot(0.0, idle, netns=(netns(queues=tcp, udp=udp),))
    assert owners_line(ceiling, None, now).plain == "archive[7] 64 M · producer[8] 2.0 M"
    unread = replace(now, netns=(netns(),))
    assert owners_line(ceiling, None, unread).plain == ""
