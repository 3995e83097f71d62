"""Drives the real app over a real recording and writes the pictures of the README.

python screenshots/make.py             the SVGs, from the recordings beside this file
python screenshots/make.py --record    the recordings too: two minutes of a load in private namespaces, half a
                                       minute of the lab with four limits (needs root)
"""

from __future__ import annotations

import asyncio
import os
import queue
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from msgspec.structs import replace
from rich.console import Console
from textual.app import App
from textual.pilot import Pilot
from textual.widgets._footer import FooterKey

from screenshots import fleet
from screenshots.render import svg
from sockmon.labs import BY_NAME
from sockmon.model import helper_protocol
from sockmon.model.current_settings import CurrentSettings
from sockmon.model.plan import Plan, Setting
from sockmon.model.snapshot import Cgroups, MemoryCgroup, PidsCgroup, Snapshot
from sockmon.model.transaction import Actor, Transaction
from sockmon.observe import assess_recording
from sockmon.settings import Settings
from sockmon.sources import Event
from sockmon.sources.replay import Replay
from sockmon.sources.wire import encode, hello
from sockmon.tuning.planning.context import from_snapshot
from sockmon.tuning.planning.reasons import with_reasons
from sockmon.ui.app import SockmonApp

HERE = Path(__file__).parent
RECORDING = HERE / "sick-proxy.jsonl"
PUZZLE = "four-plateaus"
"""A lab, and what its recording is called."""
CONTAINERS = "many-namespaces"
"""The same, with a number of containers that fits into a picture."""
LOAD = (
    "--established 5200 --time-wait 60 --ports 186:200 --fds 200:256 --leak 0.4 --stuck-listener 128 --overflow 6 "
    "--conntrack 4000 --close-wait 31 --fin-wait2 12 --v6 90 --v4-mapped 20 --udp 24 --churn 12:200"
)
REUSE = "net.ipv4.tcp_tw_reuse"
PREVIEW = ("j", "j", "j", "t", "v")
"""The lab's proxy that has no ports left: its ceiling, the panel, what the advice would do."""
PORTS_GUIDE = ("j", "j", "j", "enter", "w", "enter", "enter", "enter", "enter")
"""The same proxy: its ceiling, the guide of its symptom, and the steps to the change."""
QUEUE_GUIDE = ("b", "enter", "w")
"""The listener that does not accept: its ceiling, and the guide of its symptom."""


@dataclass(frozen=True)
class Picture:
    """One SVG: which theme, which size, the keys that lead there, and what was recorded."""

    name: str
    theme: str
    size: tuple[int, int]
    keys: tuple[str, ...] = ()
    recording: str = RECORDING.stem
    tunes: bool = False
    """Whether a desk is there: a recording has none."""
    held: bool = False
    """Whether a change is pending that does not help."""

    def app(self) -> SockmonApp:
        """The app over the recording; of a lab it tells the story."""
        lab = BY_NAME.get(self.recording)
        ended = Ended(HERE / f"{self.recording}.jsonl")
        there = Desk(HERE / f"{self.recording}.jsonl", self.held) if self.tunes else None
        intro = lab.summary if lab else ""
        app = SockmonApp(ended, Settings(theme=self.theme), lab_intro=intro, helper=there)
        # The countdown stands still.
        app.helper_session.hold.clock = lambda: 0.0
        return app


PICTURES = (
    Picture("main-sockmon", "sockmon", (160, 50)),
    Picture("main-daylight", "daylight", (160, 50)),
    Picture("main-80x24", "sockmon", (80, 24)),
    Picture("ceiling-sockmon", "sockmon", (120, 40), ("b", "j", "enter")),
    Picture("ports-colourblind", "colourblind", (120, 40), ("3", "z")),
    Picture("four-plateaus", "sockmon", (120, 40), recording=PUZZLE),
    Picture("tuning-preview", "sockmon", (120, 40), PREVIEW, recording=PUZZLE, tunes=True),
    Picture("did-it-help", "sockmon", (80, 24), tunes=True, held=True),
    Picture("namespaces", "sockmon", (120, 40), ("5",), recording=CONTAINERS),
)
GUIDE_PICTURES = (
    Picture("guide-ports", "sockmon", (120, 40), PORTS_GUIDE, recording=PUZZLE, tunes=True),
    Picture("guide-queue", "sockmon", (80, 24), QUEUE_GUIDE, tunes=True),
)
"""Not compared by a test: the words are those of the guides, which have tests of their own."""


class Ended:
    """A recording that is over, and keeps its screen."""

    live, remote = False, False

    def __init__(self, recording: Path) -> None:
        self.title = recording.stem
        self._recording = recording

    def lines(self) -> Iterator[Event]:
        """All of it at once."""
        return Replay(str(self._recording), pace=False).lines()

    def ask(self, request: object) -> bool:
        """A recording holds no single sockets."""
        return False

    def retry(self) -> None:
        """A recording has no agent."""

    def close(self) -> None:
        """Nothing stays open."""


class Desk:
    """Knows the sysctls that were recorded, so that a plan can be made; it changes nothing."""

    def __init__(self, recording: Path, held: bool = False) -> None:
        *_, last = (line for line in Replay(str(recording), pace=False).lines() if isinstance(line, Snapshot))
        here = from_snapshot(last)
        self._recorded = CurrentSettings(values=here.values, netns_inode=here.netns_inode, boot_id=here.boot_id)
        self._says: queue.Queue[helper_protocol.Answer | None] = queue.Queue()
        pending = wrong_change(recording, last, here.values) if held else None
        self._says.put(helper_protocol.HelperStatus(pending, 26.0 if held else 0.0))

    def ask(self, request: helper_protocol.Request) -> bool:
        """What was recorded of all keys, whichever were asked for."""
        self._says.put(helper_protocol.SettingsRead(self._recorded, ""))
        return True

    def answers(self) -> Iterator[helper_protocol.Answer]:
        """One for each request."""
        while (answer := self._says.get()) is not None:
            yield answer

    def close(self) -> None:
        """End `answers`."""
        self._says.put(None)


def wrong_change(recording: Path, last: Snapshot, values: Mapping[str, str]) -> Transaction:
    """A change that is pending for half a minute, and does not help the accept queue that it was made for."""
    report = assess_recording(str(recording)).report
    alarm = next(row for row in report.readings if row.ceiling == "accept-queue")
    setting = Setting(REUSE, values[REUSE], "1")
    plan = Plan((setting,), last.netns[0].inode, last.host.boot_id)
    plan = with_reasons(plan, report, last, alarm.key)
    return Transaction("1", plan, Actor(0, "root", "ops", "pts/3"), last.wall - 34.0, 60.0, 0.0, "holding")


async def draw(picture: Picture) -> None:
    """Run the app over the whole recording and write what is on the screen then."""
    app = picture.app()
    async with app.run_test(size=picture.size) as pilot:
        await go(pilot, picture)
        write(app, picture.name)


async def draw_fleet(name: str, hosts: int, size: tuple[int, int]) -> None:
    """Write the screen of a fleet that was made up."""
    app = fleet.app(hosts)
    async with app.run_test(size=size) as pilot:
        while not app.screen.query(FooterKey):
            await pilot.pause(0.05)
        await pilot.pause(0.3)
        write(app, name)


def write(app: App[None], name: str) -> None:
    """Write what is on the screen."""
    strips = app.screen._compositor.render_strips()
    console = Console(color_system="truecolor", force_terminal=True)
    lines = "\n".join(strip.render(console) for strip in strips)
    (HERE / f"{name}.svg").write_text(svg(lines, *app.size))


async def go(pilot: Pilot[Any], picture: Picture) -> None:
    """To the end of the recording, and from there where the picture's keys lead."""
    app = cast(SockmonApp, pilot.app)
    while not app.ended:
        await pilot.pause(0.05)
    await pilot.pause(0.2)
    for key in picture.keys:
        await pilot.press(key)
        await pilot.pause(0.2)
    while not app.screen.query(FooterKey):
        await pilot.pause(0.05)
    await pilot.pause(0.2)


def record(seconds: int = 110) -> None:
    """Record a load that has private namespaces of its own, so that nothing else of this machine is in it."""
    raw = HERE / "raw.jsonl"
    raw.unlink(missing_ok=True)
    python = sys.executable
    inside = (
        f"hostname web-1; exec {python} -m tests.load --no-user-namespace {LOAD} -- "
        f"{python} -m sockmon record {raw} --interval 2 --for {seconds}"
    )
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "sh", "-c", inside]
    subprocess.run(unshare, check=True, cwd=HERE.parent, env={**os.environ, "PYTHONPATH": str(HERE.parent)})
    keep(raw, RECORDING)


def record_lab(name: str, seconds: int, *options: str) -> None:
    """Record a lab, which has private namespaces of its own."""
    raw = HERE / "raw.jsonl"
    raw.unlink(missing_ok=True)
    verb = ["record", str(raw), "--interval", "2", "--for", str(seconds)]
    subprocess.run(
        [sys.executable, "-m", "sockmon", "lab", "run", *options, name, "--", *verb], check=True, cwd=HERE.parent
    )
    keep(raw, HERE / f"{name}.jsonl")


def keep(raw: Path, recording: Path) -> None:
    """Put the Snapshots of `raw` into `recording`, and end `raw`."""
    lines = [line for line in Replay(str(raw), pace=False).lines() if isinstance(line, Snapshot)]
    recording.write_bytes(hello() + b"".join(encode(anonymous(line)) for line in lines))
    raw.unlink()


def anonymous(line: Snapshot) -> Snapshot:
    """A Snapshot without what it says about the machine and the folders that it was recorded on."""
    host = replace(line.host, name="web-1", kernel=line.host.kernel.split("-")[0], boot_id="")
    assert line.processes is not None
    ours = {row.pid for row in line.processes.rows if "/" in row.command}
    rows = tuple(
        replace(row, name="sockmon", command="sockmon record incident.jsonl") if row.pid in ours else row
        for row in line.processes.rows
    )
    processes = replace(line.processes, rows=rows)
    if line.maps:
        maps = tuple(replace(row, name="sockmon") if row.pid in ours else row for row in line.maps.rows)
        line = replace(line, maps=replace(line.maps, rows=maps))
    return replace(line, host=host, processes=processes, cgroups=line.cgroups and below(line.cgroups))


def below(cgroups: Cgroups) -> Cgroups:
    """Cgroups as they are called below the group that they were made in."""

    def path(group: PidsCgroup | MemoryCgroup) -> str:
        return "/sockmon-lab" + re.sub(r".*/sockmon-lab-\d+", "", group.path)

    return replace(
        cgroups,
        pids=tuple(replace(group, path=path(group)) for group in cgroups.pids),
        memory=tuple(replace(group, path=path(group)) for group in cgroups.memory),
    )


def main() -> None:
    """Everything, or what was asked for."""
    if "--record" in sys.argv:
        record()
        record_lab(PUZZLE, 24)
        record_lab(CONTAINERS, 10, "--size", "24")
    for picture in (*PICTURES, *GUIDE_PICTURES):
        # A guide that was begun on the same recording would go on where it was left.
        with TemporaryDirectory() as state:
            os.environ["XDG_STATE_HOME"] = state
            asyncio.run(draw(picture))
        print(HERE / f"{picture.name}.svg")
    asyncio.run(draw_fleet("fleet", 50, (120, 40)))
    print(HERE / "fleet.svg")


if __name__ == "__main__":
    main()
