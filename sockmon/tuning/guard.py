"""The one writer: takes the lock, journals, writes, reads back, holds, and puts everything back by itself.

All that it needs for putting back is open before it touches anything. What it is told is a Plan; it checks that
again, because whoever made it had less to lose.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Plan, Setting, State, Transaction, Who
from sockmon.tuning import history
from sockmon.tuning.inside import not_ours
from sockmon.tuning.journal import Applied, Begin, Extend, Journal, Write, Wrote
from sockmon.tuning.places import Places
from sockmon.tuning.recover import boot_id, heal, netns
from sockmon.tuning.restore import close_targets, restore
from sockmon.tuning.targets import Target, open_target, require_sound, require_way_back

LONGEST_HOLD = 3600.0
MOST_SETTINGS = 64
SOCKET = "guard.sock"

_ONE_WRITE = 4000
"""Longer lists of ports take the kernel several writes, between which a part is missing."""


class Holder(msgspec.Struct, frozen=True):
    """What the lock says about who has it."""

    id: str
    who: Who
    pid: int
    deadline: float


class Guard:
    """One transaction from its plan to its end. `begin`, then one of `keep` and `revert`."""

    def __init__(self, plan: Plan, who: Who, hold: float, root: str = "/") -> None:
        self._plan = plan
        self._hold = hold
        self._root = root
        self._places: Places | None = None
        self._lock = -1
        self._journal: Journal | None = None
        self._targets: dict[int, Target] = {}
        self._drifted: dict[int, str] = {}
        self.words: list[str] = []
        begun = time.time()
        self._begin = Begin(_new_id(begun), plan, history.harmless_who(who), begun, hold, _now() + hold)
        self.listener: socket.socket | None = None

    def begin(self) -> Transaction:
        """Write the plan's values; `holding` where all of them are there, else what became of it.

        Where it is refused nothing was touched; where a write failed all is back as it was."""
        try:
            self._arm()
        except NotTuned as error:
            return self._refuse(error.message + (f"; {error.hint}" if error.hint else ""))
        except OSError as error:
            return self._refuse(error.strerror or str(error))
        try:
            for n, setting in enumerate(self._plan.settings):
                self._write(n, setting)
            self._journaled.append(Applied())
        except (NotTuned, OSError) as error:
            self.words.append(str(error) if isinstance(error, NotTuned) else error.strerror or str(error))
            return self.revert()
        return self.status()

    @property
    def deadline(self) -> float:
        """CLOCK_BOOTTIME, seconds: a machine that slept wakes up with its time used up."""
        return self._journal.story.deadline if self._journal else self._begin.deadline

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return _now() >= self.deadline

    @property
    def _journaled(self) -> Journal:
        assert self._journal is not None
        return self._journal

    def _arm(self) -> None:
        """All that can fail before anything is touched, in the order in which it hurts least."""
        self._places = Places(self._root)
        self._require_sound()
        lock = self._places.lock()
        if lock is None:
            raise NotTuned(f"another change is being held{_by(self._places.holder())}")
        self._lock = lock
        self._say_who(lock)
        for other in heal(self._places):
            # Whatever could not be healed from here.
            self.words += other.words if other.state == "applying" else ()
        for n, setting in enumerate(self._plan.settings):
            self._targets[n] = _open(setting)
        for n, setting in enumerate(self._plan.settings):
            _require_fresh(self._targets[n], setting, self._plan.undoes)
        self.listener = _listen(self._places)
        self._journal = Journal(f"{self._begin.id}.wal", self._places.txn, new=True)
        self._journal.append(self._begin)
        for n, setting in enumerate(self._plan.settings):
            self._try_the_way_back(n, setting)

    def _require_sound(self) -> None:
        plan = self._plan
        if not 0 < self._hold <= LONGEST_HOLD:
            raise NotTuned(f"a change is held for up to {LONGEST_HOLD:.0f} seconds, not for {self._hold:g}")
        if not 0 < len(plan.settings) <= MOST_SETTINGS:
            raise NotTuned(f"a plan has 1 to {MOST_SETTINGS} settings, this one {len(plan.settings)}")
        if len({(setting.key, setting.pid) for setting in plan.settings}) < len(plan.settings):
            raise NotTuned("the plan sets one thing twice")
        for setting in plan.settings:
            require_sound(setting)
            require_way_back(setting)
            if not setting.pid and (why := not_ours(setting.key)):
                raise NotTuned(f"{setting.name}: {why}")
        if plan.boot_id != boot_id():
            raise NotTuned("the plan is from before the machine was restarted", "make it anew")
        if plan.netns != netns():
            raise NotTuned(f"the plan is for the network namespace net:[{plan.netns}], and this is another one")

    def _say_who(self, lock: int) -> None:
        text = msgspec.json.encode(Holder(self._begin.id, self._begin.who, os.getpid(), self._begin.deadline))
        # Only words for whoever is refused: the lock itself is what counts.
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, text, 0)

    def _try_the_way_back(self, n: int, setting: Setting) -> None:
        """Write what is there already: some values can be read and not be written."""
        if len(setting.old) > _ONE_WRITE:
            return
        try:
            self._targets[n].write(setting.old)
        except OSError as error:
            raise NotTuned(
                f"{setting.name}: its present value cannot be written back: {error.strerror}"
            ) from error
        _require_fresh(self._targets[n], setting, self._plan.undoes)

    def _refuse(self, why: str) -> Transaction:
        self.words.append(why)
        refused = self._told("refused")
        if self._places is not None:
            if self._journal is not None:
                self._journal.remove()
            history.audit(self._places, refused)
        self._let_go()
        return refused

    def _write(self, n: int, setting: Setting) -> None:
        target = self._targets[n]
        self._journaled.append(Write(n, setting.key))
        try:
            target.write(setting.new)
        except OSError as error:
            raise NotTuned(
                f"{setting.name}: the kernel refused {setting.new or 'nothing'}: {error.strerror}"
            ) from error
        found = target.read()
        self._journaled.append(Wrote(n, found))
        if target.same(found, setting.new):
            return
        # A single number may be rounded to what the kernel can have; anything else is not what was asked for.
        if target.same(found, setting.old) or not (found.isdigit() and setting.new.isdigit()):
            raise NotTuned(f"{setting.name}: the kernel took {setting.new} and has {found or 'nothing'}")
        self.words.append(f"{setting.name}: the kernel made {found} of {setting.new}")

    def look(self) -> None:
        """Say what somebody else has changed while we hold: it is theirs when we go back."""
        for n, setting in enumerate(self._plan.settings):
            with suppress(OSError):
                found, expected = self._targets[n].read(), self._journaled.story.readback.get(n, setting.new)
                if not self._targets[n].same(found, expected) and self._drifted.get(n) != found:
                    self._drifted[n] = found
                    self.words.append(f"{setting.name} was changed to {found or 'nothing'} by somebody else")

    def status(self) -> Transaction:
        """How it stands."""
        return self._told("holding")

    def extend(self, seconds: float) -> Transaction:
        """Hold for `seconds` from now; NotTuned where that is no time to hold, or cannot be journaled."""
        if not 0 < seconds <= LONGEST_HOLD:
            raise NotTuned(f"a change is held for up to {LONGEST_HOLD:.0f} seconds, not for {seconds:g}")
        try:
            self._journaled.append(Extend(_now() + seconds))
        except OSError as error:
            raise NotTuned(f"the journal cannot be written: {error.strerror}") from error
        return self.status()

    def keep(self, persist: bool = False) -> Transaction:
        """Let it stay; NotTuned where that cannot be journaled, and it goes on being held."""
        self.look()
        if not self._journaled.keep(persist):
            raise NotTuned("the journal cannot be written, so the change cannot be kept", "it goes back by itself")
        return self._end("kept")

    def revert(self) -> Transaction:
        """Put everything back that is still ours."""
        state, words = restore(self._journaled, self._targets, {})
        self.words += words
        return self._end(state)

    def _end(self, state: State) -> Transaction:
        assert self._places is not None
        ended = history.finish(self._places, self._journaled, state, self.words)
        self._let_go()
        return ended

    def _told(self, state: State) -> Transaction:
        begin = self._begin
        return Transaction(
            begin.id, self._plan, begin.who, begin.begun, self._hold, self.deadline, state, words=tuple(self.words)
        )

    def _let_go(self) -> None:
        """Close everything, the lock last."""
        close_targets(self._targets)
        if self._journal is not None:
            self._journal.close()
        if self.listener is not None:
            self.listener.close()
            with suppress(OSError):
                os.unlink(SOCKET, dir_fd=self._places.run if self._places else -1)
        if self._lock >= 0:
            os.close(self._lock)
        if self._places is not None:
            self._places.close()


def _new_id(begun: float) -> str:
    """`20261122T203120-c7daf1e2`: ids sort as they began, to the microsecond, and three digits are chance."""
    whole = int(begun)
    chance = int.from_bytes(os.urandom(2), "big") & 0xFFF
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(whole))}-{int((begun - whole) * 1e6):05x}{chance:03x}"


def _open(setting: Setting) -> Target:
    try:
        return open_target(setting)
    except OSError as error:
        hint = "changing the system takes root" if isinstance(error, PermissionError) else ""
        raise NotTuned(f"{setting.name}: {error.strerror}", hint) from error


def _require_fresh(target: Target, setting: Setting, undoes: str) -> None:
    try:
        now = target.read()
    except OSError as error:
        raise NotTuned(f"{setting.name} cannot be read: {error.strerror}") from error
    if not target.same(now, setting.old) and undoes:
        raise NotTuned(
            f"{setting.name} is {now or 'empty'} now, and change {undoes} left {setting.old or 'empty'}",
            "somebody has set it since: sockmon tune apply sets what it shall be",
        )
    if not target.same(now, setting.old):
        raise NotTuned(
            f"{setting.name} is {now or 'empty'}, and was {setting.old or 'empty'} when the plan was made",
            "make it anew",
        )


def _listen(places: Places) -> socket.socket:
    with suppress(FileNotFoundError):
        os.unlink(SOCKET, dir_fd=places.run)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        listener.bind(places.address())
        os.chmod(SOCKET, 0o600, dir_fd=places.run)
        listener.listen(8)
    except BaseException:
        listener.close()
        raise
    return listener


def _by(raw: bytes) -> str:
    """` by root on pts/3 (20261122T…), for 42 s more`, as far as the lock tells."""
    try:
        holder = msgspec.json.decode(raw, type=Holder)
    except msgspec.DecodeError:
        return ""
    who = history.harmless_who(holder.who)
    left = max(0.0, holder.deadline - _now())
    where = f" on {who.terminal}" if who.terminal else ""
    return f" by {who.login or who.user}{where}, for {left:.0f} s more"


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
