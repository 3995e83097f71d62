"""The helper, the process that keeps root for the screen.

    sockmon             the screen; it gives up root
      │ forks it before that; requests on its stdin, answers and status on its stdout (model/helper_protocol.py)
      v
    sockmon-helper      this process, in a session of its own: reads, recovers, and acts (tuning/acting); writes no
      │                 setting
      │ forks a spare pair for the next change, and later sends it the plan (transaction/prespawn.py)
      v
    sockmon-watch ──forks──> sockmon-guard      the one writer; guard_watchdog.py draws these two

When the screen ends, the helper reads the end of its stdin and ends, and the spare pair ends with it. When the
helper is killed, the screen goes on without changes. A pending change outlives both: its guard rolls it back
unless it is kept."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import msgspec

from sockmon import log
from sockmon.errors import NoSuchNamespace, SockmonError, TuningError
from sockmon.kernel.limit_origin.configured import find_configured
from sockmon.model.acting import CarryOutAction, PrepareAction
from sockmon.model.boot import BootForecast
from sockmon.model.helper_protocol import (
    ActionResult,
    Answer,
    Apply,
    ChangeResult,
    GetHistory,
    History,
    NoteOutcomes,
    OutcomesTaken,
    ReadSettings,
    Request,
    RequestFailed,
    ResolveHold,
    SettingsRead,
)
from sockmon.model.limit_origin import ConfiguredLimits
from sockmon.model.plan import NetnsTarget
from sockmon.model.transaction import Transaction
from sockmon.own_command import with_sudo
from sockmon.own_process import continue_with_parent, set_name
from sockmon.text import sanitize
from sockmon.tunables import BY_KEY
from sockmon.tuning.acting.actions import Actions
from sockmon.tuning.boot.forecast import boot_forecasts
from sockmon.tuning.helper.config import HelperConfig
from sockmon.tuning.helper.status import StatusMonitor
from sockmon.tuning.helper.sysctl_reader import SysctlReader, is_limit, read_in
from sockmon.tuning.planning.plan import settable_sysctls
from sockmon.tuning.planning.step import NR_OPEN
from sockmon.tuning.transaction.client import decide, history, observe
from sockmon.tuning.transaction.daemonize import daemonize
from sockmon.tuning.transaction.prespawn import PrespawnedGuard
from sockmon.tuning.transaction.state_dirs import unusable_reason

MAX_REQUEST_BYTES = 8 << 20
MAX_KEYS = 256
_PREPARE_DELAY = 0.5
"""Seconds from the start, or from a change, to the start of the next spare guard: the screen is drawn first."""
_FORECAST_SECONDS = 10.0
"""Seconds before the files of /etc/sysctl.d are read again."""
_RETRY_SECONDS = 10.0
"""Seconds between two checks that a spare guard is ready."""
_REQUEST_DECODER = msgspec.json.Decoder(Request)
_log = logging.getLogger("sockmon.tuning.helper.server")


class HelperServer:
    """Answers the requests of one screen."""

    def __init__(self, config: HelperConfig) -> None:
        self._config = config
        self._netns_error = ""
        self._actions = Actions(config.root, config.actor, config.ssh_connection, config.cannot_act)
        self._reader: SysctlReader | None = None
        self._spare_guard: PrespawnedGuard | None = None
        self._prepare_at = time.monotonic() + _PREPARE_DELAY
        self._forecasts: tuple[float, dict[str, BootForecast]] = (0.0, {})
        self._configured_limits: tuple[float, ConfiguredLimits | None] = (0.0, None)
        try:
            self._reader = SysctlReader(settable_sysctls(), config.netns)
            self._reader.read(settable_sysctls())
        except NoSuchNamespace as error:
            self._netns_error = error.message

    def answer(self, line: bytes) -> Answer:
        """Return the answer to a line; RequestFailed if it is invalid, or failed."""
        try:
            request = _REQUEST_DECODER.decode(line)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return RequestFailed("not a valid request")
        try:
            return self._carry_out(request)
        except SockmonError as error:
            return RequestFailed(error.message, error.hint)
        except OSError as error:
            return RequestFailed(error.strerror or str(error))
        except Exception as error:
            _log.exception("request %s failed", type(request).__name__)
            return RequestFailed(
                f"fault in the helper: {type(error).__name__}: {sanitize(str(error), 200)}", log.hint()
            )

    def _carry_out(self, request: Request) -> Answer:
        if self._config.cannot_apply and not isinstance(request, ReadSettings):
            raise TuningError(self._config.cannot_apply)
        match request:
            case ReadSettings(keys, netns):
                return self._read_settings(keys, netns)
            case Apply():
                return ChangeResult(self._apply(request))
            case ResolveHold(verb, id, persist, seconds):
                return ChangeResult(decide(verb, self._config.root, id=id, seconds=seconds, persist=persist))
            case NoteOutcomes(id, outcomes):
                observe(id, outcomes, self._config.root)
                return OutcomesTaken()
            case PrepareAction(action):
                return self._actions.prepare(action)
            case CarryOutAction():
                return ActionResult(self._actions.carry_out(request))
            case GetHistory():
                return History(tuple(history(self._config.root)))

    def _read_settings(self, keys: tuple[str, ...], netns: NetnsTarget | None) -> SettingsRead:
        cannot = self.cannot_apply()
        if self._reader is None:
            raise TuningError(self._netns_error)
        if len(keys) > MAX_KEYS:
            raise TuningError(f"{len(keys)} keys requested; at most {MAX_KEYS} are allowed")
        # A key becomes a path, so only keys with a row are opened.
        known = [key for key in keys if key in BY_KEY or is_limit(key)]
        settings = self._reader.read(known) if netns is None else read_in(netns, known)
        unknown = {sanitize(key, 80): "unknown setting" for key in keys if key not in known}
        settings = replace(
            settings,
            refused={**settings.refused, **unknown},
            forecasts=self._forecast(known),
            configured_limits=self._configured() if NR_OPEN in known else None,
        )
        return SettingsRead(settings, cannot)

    def _forecast(self, keys: list[str]) -> dict[str, BootForecast]:
        made, found = self._forecasts
        now = time.monotonic()
        if now >= made + _FORECAST_SECONDS or not set(keys) <= set(found):
            # A plan can be made without the forecast.
            with suppress(SockmonError, OSError):
                found = boot_forecasts(keys, self._config.root)
                self._forecasts = now, found
        return {key: found[key] for key in keys if key in found}

    def _configured(self) -> ConfiguredLimits | None:
        """Return the descriptors that the configuration asks for, read again every 10 s."""
        made, found = self._configured_limits
        if found is None or time.monotonic() >= made + _FORECAST_SECONDS:
            with suppress(SockmonError, OSError):
                found = find_configured("nofile", self._config.root)
                self._configured_limits = time.monotonic(), found
        return found

    def _apply(self, request: Apply) -> Transaction:
        if cannot := self.cannot_apply():
            raise TuningError(cannot)
        self._drop_dead_spare()
        guard, self._spare_guard = self._spare_guard or PrespawnedGuard(self._config.root), None
        try:
            return guard.carry_out(request.plan, self._config.actor, request.hold)
        finally:
            guard.close()
            self._prepare_at = time.monotonic() + _PREPARE_DELAY

    def cannot_apply(self) -> str:
        """Return the reason why no change can be applied from here; empty if it can."""
        if self._config.cannot_apply or self._netns_error:
            return self._config.cannot_apply or self._netns_error
        if os.geteuid() != 0:
            return f"changes need root: start it with {with_sudo()}"
        with suppress(OSError):
            if os.statvfs("/proc/sys").f_flag & os.ST_RDONLY:
                return "/proc/sys is mounted read-only, as in a container: change it on the host"
        return unusable_reason(self._config.root)

    def prepare(self) -> float:
        """Start a spare guard if there is none and changes are possible; return the seconds until the next check.

        A failure to start one is reported when a change needs it."""
        now = time.monotonic()
        if now < self._prepare_at:
            return self._prepare_at - now
        self._prepare_at = now + _RETRY_SECONDS
        self._drop_dead_spare()
        if self._spare_guard is None and not self.cannot_apply():
            with suppress(TuningError):
                self._spare_guard = PrespawnedGuard(self._config.root)
        return _RETRY_SECONDS

    def _drop_dead_spare(self) -> None:
        if self._spare_guard is not None and not self._spare_guard.ready:
            self._spare_guard.close()
            self._spare_guard = None


class LineReader:
    """Splits what a descriptor delivers into lines; yields an empty line in place of one that is too long."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._parts: list[bytes] = []
        self._length = 0
        self.ended = False

    def read(self) -> Iterator[bytes]:
        """Yield the lines that are complete by now; block if there is nothing to read."""
        data = os.read(self._file, 1 << 16)
        self.ended = not data
        first, *others = data.split(b"\n")
        self._add(first)
        for part in others:
            yield b"" if self._length > MAX_REQUEST_BYTES else b"".join(self._parts)
            self._parts, self._length = [], 0
            self._add(part)

    def _add(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= MAX_REQUEST_BYTES:
            self._parts.append(part)
        else:
            self._parts = []


def serve(config: HelperConfig) -> None:
    """Answer requests, and send the status when it is due, until stdin ends."""
    status = StatusMonitor(config.root, disabled=bool(config.cannot_apply))
    _send(status.poll())
    server = HelperServer(config)
    lines = LineReader(0)
    while not lines.ended:
        if select.select([0], [], [], min(status.seconds_to_next(), server.prepare()))[0]:
            for line in lines.read():
                _send(server.answer(line))
                status.poll_now()
        _send(status.poll())


def _send(answer: Answer | None) -> None:
    if answer is None:
        return
    text = msgspec.json.encode(answer) + b"\n"
    while text:
        text = text[os.write(1, text) :]


def run(config: HelperConfig) -> None:
    """Serve the screen that has forked this process, and end."""
    daemonize()
    set_name("sockmon-helper", config.root)
    # Not SIGKILL: a request that has begun is finished first.
    continue_with_parent()
    log.start("helper", config.root)
    try:
        serve(config)
    except BrokenPipeError:
        _log.debug("the screen has ended")
    except Exception:
        _log.exception("the helper ended")
