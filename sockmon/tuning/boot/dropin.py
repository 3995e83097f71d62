"""The drop-in that makes values persist: /etc/sysctl.d/90-sockmon.conf, written only if its lines win at boot.

It has two lines for each key: a comment of ours, and the assignment. Everything else in the file is kept byte for
byte. The caller holds the lock of the transaction, so there is one writer at a time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from sockmon.model.plan import Setting
from sockmon.model.transaction import Actor, SysctlFileEdit
from sockmon.text import sanitize
from sockmon.tuning.boot.atomic_file import FILE, NotPersisted, SysctlDropinDir
from sockmon.tuning.boot.sysctl_d import UnreadableFile, path_of, read_file
from sockmon.tuning.boot.winning_line import BootFiles, read_boot_files

__all__ = ["FILE", "NotPersisted", "overrides", "persist", "restore_lines", "simulate", "udev_rule"]

SIMULATED_VALUE = "sockmon"
"""The value of our lines in a simulation, which no other line has."""
_OUR_COMMENT = b"# sockmon "
_HEADER = (
    b"# Values that were changed with sockmon and kept. A comment that begins with `sockmon` belongs to the line\n"
    b"# below it: sockmon replaces both. It leaves every other line alone.\n"
)
_KEY = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_.:@-]+)+")
_VALUE = re.compile(r"[0-9A-Za-z ,.:_-]*")
_ID = re.compile(r"[0-9A-Za-z._-]+")


BeforeWrite = Callable[[tuple[SysctlFileEdit, ...]], object]
"""Called with what the file has and will have, before it is changed; if it raises, the file is not changed."""


def persist(
    settings: Sequence[Setting],
    actor: Actor,
    transaction: str,
    root: str | Path = "/",
    at: float | None = None,
    before_write: BeforeWrite = lambda entries: None,
) -> tuple[str, ...]:
    """Write the new values of `settings` to the file, with the id of their transaction; return warnings.

    `at` is the wall clock. Raise NotPersisted, with nothing changed, if the file cannot be written, or if another
    line would win at boot under systemd-sysctl or under `sysctl --system`. Idempotent."""
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() if at is None else at))
    blocks = {setting.key: _block(setting, actor, transaction, day) for setting in settings}
    with SysctlDropinDir(Path(root)) as directory:
        before = directory.read()
        after = _merged(before or _HEADER, blocks)
        _require_no_reason(overrides(settings, read_boot_files(root, {FILE: after})))
        ours = _our_lines(before)
        before_write(
            tuple(SysctlFileEdit(key, ours.get(path_of(key), ""), _decode(block)) for key, block in blocks.items())
        )
        warnings = directory.replace(after) if after != before else directory.fsync_dir()
    # Another process may have added a file in the meantime.
    return (*warnings, *overrides(settings, read_boot_files(root)), *_udev_hints(settings))


def restore_lines(
    entries: Sequence[SysctlFileEdit], root: str | Path = "/", before_write: BeforeWrite = lambda entries: None
) -> tuple[str, ...]:
    """Restore our lines as they were before `entries`; return warnings, also for each line that has changed since,
    which is kept.

    Lines that are not ours are kept; a file without any line of ours is removed. Raise NotPersisted if the file
    cannot be written. Idempotent."""
    with SysctlDropinDir(Path(root)) as directory:
        content = directory.read()
        ours = _our_lines(content)
        now = {entry.key: ours.get(path_of(entry.key), "") for entry in entries}
        back = [entry for entry in entries if now[entry.key] == entry.after]
        before_write(tuple(SysctlFileEdit(entry.key, entry.after, entry.before) for entry in back))
        warnings = _write_merged(directory, content, {entry.key: entry.before.encode("latin-1") for entry in back})
    changed = [entry.key for entry in entries if now[entry.key] not in (entry.before, entry.after)]
    return (*warnings, *(f"the line for {key} in {FILE} was changed since: it was left alone" for key in changed))


def _write_merged(directory: SysctlDropinDir, content: bytes | None, blocks: dict[str, bytes]) -> tuple[str, ...]:
    after = _merged(content or _HEADER, blocks)
    if not blocks:
        return directory.fsync_dir()
    if after in (b"", _HEADER):
        return directory.remove() if content is not None else ()
    return directory.replace(after)


def overrides(settings: Iterable[Setting], files: BootFiles) -> tuple[str, ...]:
    """Return why the new values would not be set after a boot with `files`, a sentence each; empty if they win."""
    messages = [f"{unread}: it may hold a line that wins at boot" for unread in files.unread]
    for setting in settings:
        for found in files.resolve_both(setting.key):
            line = found.winner
            if line is None:
                messages.append(f"{found.program} does not set {setting.key}")
            elif (line.value or "").split() != setting.new.split():
                messages.append(f"{line.at} wins at boot under {found.program}: {setting.key} = {line.value}")
    return tuple(messages)


def simulate(keys: Iterable[str], root: str | Path = "/") -> BootFiles:
    """Return the files as they would be with a line of ours for each of `keys`, to find out which line would win.
    If our own file cannot be read, it is in `unread`."""
    before = b""
    with suppress(OSError, UnreadableFile):
        before = read_file(Path(root, FILE.lstrip("/")))
    blocks = {key: _OUR_COMMENT + b"\n" + f"{key} = {SIMULATED_VALUE}\n".encode() for key in keys}
    return read_boot_files(root, {FILE: _merged(before or _HEADER, blocks)})


def udev_rule(key: str) -> str:
    """Return the udev rule for a key that exists only after a module is loaded, which may be after systemd-sysctl
    ran (sysctl.d(5)); empty if it needs none."""
    if not path_of(key).startswith("net/netfilter/nf_conntrack"):
        return ""
    return (
        'ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack",'
        ' RUN+="/usr/lib/systemd/systemd-sysctl --prefix=/net/netfilter"'
    )


def _udev_hints(settings: Iterable[Setting]) -> Iterable[str]:
    for setting in settings:
        if rule := udev_rule(setting.key):
            yield (
                f"{setting.key} exists only after nf_conntrack is loaded, which may be after systemd-sysctl ran:"
                f" in that case add /etc/udev/rules.d/90-sockmon.rules with {rule}"
            )


def _require_no_reason(reasons: Sequence[str]) -> None:
    if reasons:
        hint = f"{FILE} would not win: change those lines, or keep the value without --persist"
        raise NotPersisted("; ".join(reasons), hint)


def _block(setting: Setting, actor: Actor, transaction: str, day: str) -> bytes:
    """Return the two lines for one key; raise NotPersisted if a field has a character that must not be in the
    file."""
    if setting.pid:
        raise NotPersisted(
            f"{setting.key} of process {setting.pid} is not a sysctl", "use a drop-in of its systemd unit"
        )
    for name, text, allowed in (
        ("key", setting.key, _KEY),
        ("value", setting.new, _VALUE),
        ("id", transaction, _ID),
    ):
        if not allowed.fullmatch(text) or (name == "key" and ".." in text):
            raise NotPersisted(
                f"the {name} {sanitize(text)!r} has a character that sockmon does not write to a sysctl.d file"
            )
    person = actor.user
    if actor.login and actor.login != actor.user:
        person = f"{actor.user} ({actor.login})"
    comment = f"{transaction}, {day}, {sanitize(person, 80)}, was {sanitize(setting.old, 200) or 'empty'}"
    assignment = f"{setting.key} = {setting.new}".rstrip()
    return _OUR_COMMENT + comment.encode("ascii", "replace") + b"\n" + assignment.encode() + b"\n"


def _merged(before: bytes, blocks: dict[str, bytes]) -> bytes:
    """Return `before` with our lines for the keys of `blocks` replaced; lines for new keys come last, where they
    win."""
    pending = {path_of(key): block for key, block in blocks.items()}
    done = set()
    out = []
    for chunk in _chunks(before):
        path = _path_set_by(chunk)
        if path in pending:
            # A second line for the same key would win: only the first place is kept.
            out.append(b"" if path in done else pending[path])
            done.add(path)
        else:
            out.append(chunk)
    added = b"".join(block for path, block in pending.items() if path not in done)
    kept = b"".join(out)
    return kept + (b"\n" if added and kept and not kept.endswith(b"\n") else b"") + added


def _chunks(raw: bytes) -> Iterable[bytes]:
    """Yield the lines of `raw`, each comment of ours together with the assignment below it."""
    waiting = b""
    for line in re.findall(rb"[^\n]*\n|[^\n]+", raw):
        if waiting and b"=" in line and line.strip()[:1] not in (b"#", b";"):
            yield waiting + line
            waiting = b""
            continue
        if waiting:
            yield waiting
        waiting = line if line.startswith(_OUR_COMMENT) else b""
        if not waiting:
            yield line
    if waiting:
        yield waiting


def _path_set_by(chunk: bytes) -> str | None:
    """Return the path that a chunk of ours sets; None if it is not ours."""
    comment, _, assignment = chunk.partition(b"\n")
    if not comment.startswith(_OUR_COMMENT) or b"=" not in assignment:
        return None
    return path_of(assignment.partition(b"=")[0].strip().decode("utf-8", "replace"))


def _our_lines(raw: bytes | None) -> dict[str, str]:
    """Return our lines by the path that they set, each with a line feed at the end."""
    chunks = ((_path_set_by(chunk), chunk.rstrip(b"\n") + b"\n") for chunk in _chunks(raw or b""))
    return {path: _decode(chunk) for path, chunk in chunks if path is not None}


def _decode(block: bytes) -> str:
    """Return our lines as text without a change, even if another process has edited them."""
    return block.decode("latin-1")
