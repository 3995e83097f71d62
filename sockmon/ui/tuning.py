"""The app's side of the desk: the newest of what it said, and whether anything can be changed from here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from sockmon.assess import Assessment
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
from sockmon.tuning.here import Here, seen
from sockmon.ui.feed import Desk
from sockmon.ui.hold import Clock, Hold, Wish

V = TypeVar("V")
ENDED = "the process of sockmon that kept its privilege has ended; start sockmon anew"


class Tuning:
    """Asks the desk and keeps what it answered; `no_desk` says why there is none."""

    def __init__(self, desk: Desk | None, no_desk: str = "", clock: Clock = time.monotonic) -> None:
        self.desk = desk
        self.no_desk = "" if desk else no_desk or "this screen was started without the means to"
        self.looked: Looked | None = None
        self.standing: Standing | None = None
        self.hold = Hold(clock)
        self._ended = ""
        self._waiting: deque[Request] = deque()
        """Requests that were not answered yet; the desk answers one after the other."""

    @property
    def cannot(self) -> str:
        """Why nothing can be applied from here; empty where it can."""
        return self.no_desk or self._ended or (self.looked.cannot if self.looked else "")

    def here(self, newest: Assessment | None) -> Here | None:
        """What a plan is made from; None until something is known."""
        snapshot = newest.snapshot if newest else None
        if self.looked is None:
            # Without a desk the stream shows the values, and they are there to be looked at.
            return seen(snapshot, fixed=self.no_desk) if self.no_desk and snapshot and snapshot.netns else None
        looked = self.looked
        return Here(
            values=looked.values,
            netns=looked.netns,
            boot_id=looked.boot_id,
            refused=looked.refused,
            memory=looked.memory,
            snapshot=snapshot,
            starts=looked.starts,
            outlooks=looked.outlooks,
        )

    def ask(self, request: Request) -> bool:
        """Send a request; False where nobody hears it."""
        if isinstance(request, Look) and request in self._waiting:
            # A desk that is slow, or stopped, is not asked again and again: its pipe would fill, and stop us.
            return True
        if self.desk is None or self._ended or not self.desk.ask(request):
            return False
        self._waiting.append(request)
        return True

    def decide(self, wish: Wish) -> bool:
        """Ask for what is wished for what is held; False where that cannot be."""
        held = self.hold.held
        if held is None or not self.hold.live:
            return False
        verb = Decide("revert" if wish == "revert" else "keep", held.id, persist=wish == "persist")
        if not self.ask(verb):
            return False
        self.hold.want(wish)
        return True

    def hear(self, answer: Answer) -> None:
        """Take what the desk says."""
        if isinstance(answer, Standing):
            self.standing = answer
            if self.hold.stand(answer):
                self.ask(Recall())
            return
        request = self._waiting.popleft() if self._waiting else None
        if isinstance(answer, Looked):
            self._merge(answer, request.keys if isinstance(request, Look) else ())
        elif isinstance(answer, Told):
            if isinstance(request, Apply):
                self.hold.ours.add(answer.transaction.id)
            self.hold.tell(answer.transaction)
        elif isinstance(answer, Recalled):
            self.hold.recall(answer.transactions)
        elif isinstance(answer, Failed) and isinstance(request, Decide):
            self.hold.fail(answer.message)

    def end(self, why: str) -> None:
        """The desk has ended; the guard has not."""
        self._ended = f"{ENDED} ({why})" if why else ENDED
        self.hold.deaf = self._ended
        self.hold.wish = None

    def _merge(self, looked: Looked, asked: tuple[str, ...]) -> None:
        """Keep what was read before of other keys: each screen asks for its own."""
        old = self.looked
        if old and (old.netns, old.boot_id) == (looked.netns, looked.boot_id):
            looked = replace(
                looked,
                values=_over(old.values, looked.values, asked),
                refused=_over(old.refused, looked.refused, asked),
                starts=_over(old.starts, looked.starts, asked),
                outlooks=_over(old.outlooks, looked.outlooks, asked),
            )
        self.looked = looked


def _over(old: Mapping[str, V], new: Mapping[str, V], asked: tuple[str, ...]) -> dict[str, V]:
    """`new` laid over what `old` says of keys that were not `asked` for."""
    return {key: value for key, value in old.items() if key not in asked} | dict(new)
