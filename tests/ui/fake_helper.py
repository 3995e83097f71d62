"""A fake helper: it answers as the test wants, records requests, and changes nothing."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.pilot import Pilot

from sockmon.model.acting import CarryOutAction, PrepareAction, PreparedAction
from sockmon.model.boot import BootForecast, Drift
from sockmon.model.current_settings import CurrentSettings
from sockmon.model.helper_protocol import (
    ActionResult,
    Answer,
    Apply,
    ChangeResult,
    GetHistory,
    HelperStatus,
    History,
    NoteOutcomes,
    OutcomesTaken,
    ReadSettings,
    Request,
    RequestFailed,
    ResolveHold,
    SettingsRead,
)
from sockmon.model.plan import Plan
from sockmon.model.transaction import Actor, State, Transaction
from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from tests.ui.fake_app import NETNS, FakeAssessor, FakeSource

RANGE = "net.ipv4.ip_local_port_range"
RESERVED = "net.ipv4.ip_local_reserved_ports"
SOMAXCONN = "net.core.somaxconn"
BOOT = "b00t"
VALUES: Mapping[str, str] = {
    RANGE: "32768 60999",
    RESERVED: "",
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.ipv4.tcp_tw_reuse": "2",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_fin_timeout": "60",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.tcp_max_syn_backlog": "1024",
    "net.ipv4.tcp_max_tw_buckets": "65536",
    SOMAXCONN: "4096",
    "net.netfilter.nf_conntrack_max": "262144",
    "net.netfilter.nf_conntrack_buckets": "262144",
    "fs.file-max": "9223372",
    "fs.nr_open": "1048576",
    "kernel.pid_max": "4194304",
    "kernel.threads-max": "255000",
}
READ_ONLY_REASON = "it is read-only in this network namespace"
ALICE = Actor(0, "root", "alice", "pts/3")
BOB = Actor(0, "root", "bob", "pts/7")


def transaction(plan: Plan, state: State = "holding", who: Actor = ALICE, **changes: object) -> Transaction:
    """Return the transaction of a plan."""
    fields = {"id": "20250615-150640-ab12", "begun": 1_750_000_000.0, "hold": 60.0, "deadline": 1e9}
    return Transaction(plan=plan, actor=who, state=state, **{**fields, **changes})  # type: ignore[arg-type]


class FakeHelper:
    """Answers like the helper; `script` may return other answers (None: the usual ones), `send` sends any."""

    def __init__(
        self,
        values: Mapping[str, str] = VALUES,
        cannot: str = "",
        script: Callable[[Request], list[Answer] | None] = lambda _: None,
        **changes: object,
    ) -> None:
        self.values = dict(values)
        self.refused: dict[str, str] = {"net.netfilter.nf_conntrack_max": READ_ONLY_REASON}
        self.starts: dict[str, int] = {}
        self.outlooks: dict[str, BootForecast] = {}
        self.cannot = cannot
        self.memory: int | None = 8 << 30
        self.history: list[Transaction] = []
        self.asked: list[Request] = []
        self.held: Transaction | None = None
        self.alive = True
        self.script = script
        self.prepared: PreparedAction | None = None
        self.acted: ActionResult | None = None
        vars(self).update(changes)
        self._said: queue.Queue[Answer | None] = queue.Queue()
        self.send_status()

    # What the app calls

    def ask(self, request: Request) -> bool:
        self.asked.append(request)
        if self.alive:
            answers = self.script(request)
            self.send(*(self._answers(request) if answers is None else answers))
        return self.alive

    def answers(self) -> Iterator[Answer]:
        while (answer := self._said.get()) is not None:
            yield answer

    def close(self) -> None:
        self.alive = False
        self._said.put(None)

    # What a test does

    def send(self, *answers: Answer) -> None:
        """Send answers, requested or not."""
        for answer in answers:
            self._said.put(answer)

    def send_status(
        self, left: float = 60.0, drift: tuple[Drift, ...] = (), pending: tuple[Transaction, ...] = ()
    ) -> None:
        """Send the status."""
        self.send(HelperStatus(self.held, left if self.held else 0.0, pending, drift))

    def hold(self, held: Transaction | None, left: float = 60.0) -> None:
        """Set the pending change, or none, and send the status."""
        self.held = held
        self.send_status(left)

    def asked_for(self, kind: type[Request]) -> list[Request]:
        """Return the requests of one type."""
        return [each for each in self.asked if isinstance(each, kind)]

    def settings_read(self, keys: tuple[str, ...] = ()) -> SettingsRead:
        """Return the answer to reading `keys`; to reading all without."""
        wanted = keys or tuple(self.values)
        absent = {key: "this kernel does not have it" for key in wanted if key not in self.values}
        settings = CurrentSettings(
            values={key: self.values[key] for key in wanted if key in self.values},
            refused={**absent, **{key: why for key, why in self.refused.items() if key in wanted}},
            start_times=self.starts,
            forecasts=self.outlooks,
            netns_inode=NETNS,
            boot_id=BOOT,
            memory=self.memory,
        )
        return SettingsRead(settings, self.cannot)

    def _answers(self, request: Request) -> list[Answer]:
        if isinstance(request, ReadSettings):
            return [self.settings_read(request.keys)]
        if isinstance(request, GetHistory):
            return [History(tuple(self.history))]
        if isinstance(request, NoteOutcomes):
            return [OutcomesTaken()]
        if isinstance(request, ResolveHold):
            return self._decide(request)
        if isinstance(request, PrepareAction):
            return [self.prepared or RequestFailed("nothing to act on")]
        if isinstance(request, CarryOutAction):
            return [self.acted or RequestFailed("not what was shown last")]
        return self._apply(request)

    def _apply(self, request: Apply) -> list[Answer]:
        if self.cannot or self.held:
            return [RequestFailed(self.cannot or f"a change of {self.held and self.held.actor.login} is held")]
        self.held = transaction(request.plan, hold=request.hold)
        self.values |= {setting.key: setting.new for setting in request.plan.settings}
        return [ChangeResult(self.held), HelperStatus(self.held, request.hold)]

    def _decide(self, request: ResolveHold) -> list[Answer]:
        if self.held is None:
            return [RequestFailed("no change is being held")]
        if request.verb == "revert":
            self.values |= {setting.key: setting.old for setting in self.held.plan.settings}
        state: State = "kept" if request.verb == "keep" else "reverted"
        ended = transaction(self.held.plan, state, self.held.actor, persisted=request.persist)
        self.held = None
        return [ChangeResult(ended), HelperStatus(None)]


@asynccontextmanager
async def running_app(
    helper: FakeHelper | None = None, size: tuple[int, int] = (160, 50), source: Any = None, **changes: Any
) -> AsyncIterator[tuple[SockmonApp, Pilot[None]]]:
    """Run the app on a proxy in trouble, with a helper that has sent its status; `changes` go to the app."""
    app = SockmonApp(
        source or FakeSource("busy"),
        changes.pop("settings", Settings(theme="sockmon")),
        assessor=FakeAssessor("busy"),
        helper=helper,
        **changes,
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        await until(pilot, lambda: helper is None or app.read_only or app.helper_status is not None)
        yield app, pilot


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    """Wait for the effect of another thread."""
    for _ in range(500):
        await pilot.pause()
        if done():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


def screen_text(app: SockmonApp) -> str:
    """Return everything on the screen, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips[: app.size.height])


def without_frames(text: str) -> str:
    """Return the text on one line, without frames: a sentence may be wrapped anywhere."""
    return " ".join(text.translate(str.maketrans("│╭╮╰╯─", "      ")).split())


async def press_at(app: SockmonApp, pilot: Pilot[None], name: str, at: float, char: str | None = None) -> None:
    """Press a key, as read by the terminal `at` that second of the monotonic clock."""
    event = events.Key(name, char or (name if len(name) == 1 else None))
    event.time = at
    app.post_message(event)
    await pilot.pause()


async def type_text(
    app: SockmonApp, pilot: Pilot[None], text: str, gap: float = 0.15, after: float = 10.0
) -> None:
    """Type letters with `gap` seconds between them, the first `after` seconds from now; do not wait for it."""
    begin = time.monotonic() + after
    for place, char in enumerate(text):
        await press_at(app, pilot, char, begin + place * gap)
