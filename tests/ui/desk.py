"""A scripted desk: it says what the test wants, remembers what it was asked, and touches nothing."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.pilot import Pilot

from sockmon.model.change import Drift, Outlook, Plan, State, Transaction, Who
from sockmon.model.desk import (
    Answer,
    Apply,
    Decide,
    Failed,
    Look,
    Looked,
    Recall,
    Recalled,
    Request,
    Standing,
    Told,
)
from sockmon.ui.app import SockmonApp
from sockmon.ui.screens.main import MainScreen
from sockmon.ui.settings import Settings
from tests.ui.stage import NETNS, FakeAssessor, StageSource

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
FIXED = "it is read-only in this network namespace"
ALICE = Who(0, "root", "alice", "pts/3")
BOB = Who(0, "root", "bob", "pts/7")


def transaction(plan: Plan, state: State = "holding", who: Who = ALICE, **changes: object) -> Transaction:
    """A plan that was acted on."""
    fields = {"id": "20250615-150640-ab12", "begun": 1_750_000_000.0, "hold": 60.0, "deadline": 1e9}
    return Transaction(plan=plan, who=who, state=state, **{**fields, **changes})  # type: ignore[arg-type]


class FakeDesk:
    """Answers as a desk does; `script` may answer otherwise (None: as ever), `say` says anything unasked."""

    def __init__(
        self,
        values: Mapping[str, str] = VALUES,
        cannot: str = "",
        script: Callable[[Request], list[Answer] | None] = lambda _: None,
        **changes: object,
    ) -> None:
        self.values = dict(values)
        self.refused: dict[str, str] = {"net.netfilter.nf_conntrack_max": FIXED}
        self.starts: dict[str, int] = {}
        self.outlooks: dict[str, Outlook] = {}
        self.cannot = cannot
        self.memory: int | None = 8 << 30
        self.history: list[Transaction] = []
        self.asked: list[Request] = []
        self.held: Transaction | None = None
        self.alive = True
        self.script = script
        vars(self).update(changes)
        self._said: queue.Queue[Answer | None] = queue.Queue()
        self.stand()

    # What the app calls

    def ask(self, request: Request) -> bool:
        self.asked.append(request)
        if self.alive:
            answers = self.script(request)
            self.say(*(self._answers(request) if answers is None else answers))
        return self.alive

    def answers(self) -> Iterator[Answer]:
        while (answer := self._said.get()) is not None:
            yield answer

    def close(self) -> None:
        self.alive = False
        self._said.put(None)

    # What a test does

    def say(self, *answers: Answer) -> None:
        """Something, asked for or not."""
        for answer in answers:
            self._said.put(answer)

    def stand(
        self, left: float = 60.0, drift: tuple[Drift, ...] = (), pending: tuple[Transaction, ...] = ()
    ) -> None:
        """How things stand."""
        self.say(Standing(self.held, left if self.held else 0.0, pending, drift))

    def hold(self, held: Transaction | None, left: float = 60.0) -> None:
        """Somebody's change is held from now on, or nobody's."""
        self.held = held
        self.stand(left)

    def asked_for(self, kind: type[Request]) -> list[Request]:
        """What was asked of one kind."""
        return [each for each in self.asked if isinstance(each, kind)]

    def looked(self, keys: tuple[str, ...] = ()) -> Looked:
        """What a Look at `keys` brings; at all of them without."""
        wanted = keys or tuple(self.values)
        absent = {key: "this kernel does not have it" for key in wanted if key not in self.values}
        return Looked(
            values={key: self.values[key] for key in wanted if key in self.values},
            refused={**absent, **{key: why for key, why in self.refused.items() if key in wanted}},
            starts=self.starts,
            outlooks=self.outlooks,
            netns=NETNS,
            boot_id=BOOT,
            memory=self.memory,
            cannot=self.cannot,
        )

    def _answers(self, request: Request) -> list[Answer]:
        if isinstance(request, Look):
            return [self.looked(request.keys)]
        if isinstance(request, Recall):
            return [Recalled(tuple(self.history))]
        if isinstance(request, Decide):
            return self._decide(request)
        return self._apply(request)

    def _apply(self, request: Apply) -> list[Answer]:
        if self.cannot or self.held:
            return [Failed(self.cannot or f"a change of {self.held and self.held.who.login} is held")]
        self.held = transaction(request.plan, hold=request.hold)
        self.values |= {setting.key: setting.new for setting in request.plan.settings}
        return [Told(self.held), Standing(self.held, request.hold)]

    def _decide(self, request: Decide) -> list[Answer]:
        if self.held is None:
            return [Failed("no change is being held")]
        if request.verb == "revert":
            self.values |= {setting.key: setting.old for setting in self.held.plan.settings}
        state: State = "kept" if request.verb == "keep" else "reverted"
        ended = transaction(self.held.plan, state, self.held.who, persisted=request.persist)
        self.held = None
        return [Told(ended), Standing(None)]


@asynccontextmanager
async def sitting(
    desk: FakeDesk | None = None, size: tuple[int, int] = (160, 50), source: Any = None, **changes: Any
) -> AsyncIterator[tuple[SockmonApp, Pilot[None]]]:
    """The app on a staged proxy in trouble, with a desk that has answered; `changes` go to the app."""
    app = SockmonApp(
        source or StageSource("busy"),
        changes.pop("settings", Settings(theme="sockmon")),
        assessor=FakeAssessor("busy"),
        desk=desk,
        **changes,
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        await until(pilot, lambda: desk is None or app.read_only or app.standing is not None)
        yield app, pilot


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""
    for _ in range(500):
        await pilot.pause()
        if done():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


def seen(app: SockmonApp) -> str:
    """Everything on the screen, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips[: app.size.height])


def flat(text: str) -> str:
    """The same on one line, without frames: a sentence may be wrapped anywhere."""
    return " ".join(text.translate(str.maketrans("│╭╮╰╯─", "      ")).split())


async def key(app: SockmonApp, pilot: Pilot[None], name: str, at: float, char: str | None = None) -> None:
    """A key that the terminal read `at` that second of the monotonic clock."""
    event = events.Key(name, char or (name if len(name) == 1 else None))
    event.time = at
    app.post_message(event)
    await pilot.pause()


async def typing(app: SockmonApp, pilot: Pilot[None], text: str, gap: float = 0.15, after: float = 10.0) -> None:
    """Letters with `gap` seconds between them, the first one `after` seconds from now, without waiting for it."""
    begin = time.monotonic() + after
    for place, char in enumerate(text):
        await key(app, pilot, char, begin + place * gap)
