"""The file that makes a value last: /etc/sysctl.d/90-sockmon.conf, replaced as a whole, and only where it wins.

Two lines for each key: a comment of ours, and the assignment. All else in the file is somebody's, and stays as it
is, byte for byte. Whoever calls holds the lock of the transaction: there is one writer at a time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from sockmon.model.change import Setting, Who
from sockmon.model.clean import clean
from sockmon.tuning.boot import Boot, boot
from sockmon.tuning.folder import FILE, Folder, NotPersisted
from sockmon.tuning.sysctl_d import path_of

__all__ = ["FILE", "NotPersisted", "Persisted", "forget", "module_rule", "overruled", "persist"]

_MARK = b"# sockmon "
_HEADER = (
    b"# Values that were changed with sockmon and kept. A comment that begins with `sockmon` belongs to the line\n"
    b"# below it: sockmon replaces both. It leaves every other line alone.\n"
)
_KEY = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_.:@-]+)+")
_VALUE = re.compile(r"[0-9A-Za-z ,.:_-]*")
_ID = re.compile(r"[0-9A-Za-z._-]+")


class Persisted(msgspec.Struct, frozen=True):
    """What was written."""

    file: str
    words: tuple[str, ...] = ()
    """What to know besides, a sentence each."""


def persist(
    settings: Sequence[Setting], who: Who, id: str, root: str | Path = "/", at: float | None = None
) -> Persisted:
    """Make the new values of `settings` last, as transaction `id`, begun by `who`; `at` is the wall clock.

    NotPersisted, with nothing changed, where the file cannot be written, and where another line would win at boot
    under systemd-sysctl or under `sysctl --system`. To do it twice is to do it once."""
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() if at is None else at))
    blocks = {setting.key: _block(setting, who, id, day) for setting in settings}
    with Folder(Path(root)) as folder:
        before = folder.read()
        after = _merged(before or _HEADER, blocks)
        _refuse_if(overruled(settings, boot(root, {FILE: after})))
        words = folder.replace(after) if after != before else folder.settle()
    # Somebody may have added a file in the meantime: what is said is what is there now.
    late = overruled(settings, boot(root))
    return Persisted(FILE, (*words, *late, *_module_words(settings)))


def forget(keys: Iterable[str], root: str | Path = "/") -> tuple[str, ...]:
    """Take our lines for `keys` out again, and the file with the last of them; the keys that were in it.

    Lines that are not ours stay, whatever they set. NotPersisted where the file cannot be written."""
    with Folder(Path(root)) as folder:
        before = folder.read()
        if before is None:
            return ()
        ours = {path_of(key): key for key in keys}
        there = tuple(ours[path] for path in dict.fromkeys(_own_paths(before)) if path in ours)
        after = _merged(before, dict.fromkeys(there, b""))
        if after in (b"", _HEADER):
            folder.remove()
        elif after != before:
            folder.replace(after)
    return there


def overruled(settings: Iterable[Setting], files: Boot) -> tuple[str, ...]:
    """Why the new values would not be there after a boot with `files`, a sentence each; empty: they win."""
    words = [f"{unread}: it may hold a line that wins at boot" for unread in files.unread]
    for setting in settings:
        for fate in files.fates(setting.key):
            if fate.winner is None:
                words.append(f"{fate.loader} does not set {setting.key}")
            elif (fate.winner.value or "").split() != setting.new.split():
                words.append(
                    f"{fate.winner.at} wins at boot under {fate.loader}: {setting.key} = {fate.winner.value}"
                )
    return tuple(words)


def module_rule(key: str) -> str:
    """The udev rule for a key that exists only once a module is loaded, perhaps later than systemd-sysctl runs
    (sysctl.d(5)); empty: it needs none."""
    if not path_of(key).startswith("net/netfilter/nf_conntrack"):
        return ""
    return (
        'ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack",'
        ' RUN+="/usr/lib/systemd/systemd-sysctl --prefix=/net/netfilter"'
    )


def _module_words(settings: Iterable[Setting]) -> Iterable[str]:
    for setting in settings:
        if rule := module_rule(setting.key):
            yield (
                f"{setting.key} exists once nf_conntrack is loaded, perhaps after systemd-sysctl ran: then it"
                f" needs /etc/udev/rules.d/90-sockmon.rules with {rule}"
            )


def _refuse_if(reasons: Sequence[str]) -> None:
    if reasons:
        raise NotPersisted("; ".join(reasons), f"{FILE} would not decide: change those lines, or let the value go")


def _block(setting: Setting, who: Who, id: str, day: str) -> bytes:
    """The two lines for one key; NotPersisted names the field that has no place in such a file."""
    if setting.pid:
        raise NotPersisted(
            f"{setting.key} of process {setting.pid} is no sysctl", "a drop-in of its systemd unit makes it last"
        )
    for name, text, allowed in (("key", setting.key, _KEY), ("value", setting.new, _VALUE), ("id", id, _ID)):
        if not allowed.fullmatch(text) or (name == "key" and ".." in text):
            raise NotPersisted(f"the {name} {clean(text)!r} has a character that no sysctl.d file may get from us")
    person = f"{who.user} ({who.login})" if who.login and who.login != who.user else who.user
    comment = f"{id}, {day}, {clean(person, 80)}, was {clean(setting.old, 200) or 'empty'}"
    assignment = f"{setting.key} = {setting.new}".rstrip()
    return _MARK + comment.encode("ascii", "replace") + b"\n" + assignment.encode() + b"\n"


def _merged(before: bytes, blocks: dict[str, bytes]) -> bytes:
    """`before` with our lines for the keys of `blocks` replaced; lines for a new key come last, where they win."""
    pending = {path_of(key): block for key, block in blocks.items()}
    done = set()
    out = []
    for chunk in _chunks(before):
        path = _path(chunk)
        if path in pending:
            # Of two for one key the later would win.
            out.append(b"" if path in done else pending[path])
            done.add(path)
        else:
            out.append(chunk)
    added = b"".join(block for path, block in pending.items() if path not in done)
    kept = b"".join(out)
    return kept + (b"\n" if added and kept and not kept.endswith(b"\n") else b"") + added


def _chunks(raw: bytes) -> Iterable[bytes]:
    """The lines of `raw`, with a comment of ours and the assignment below it as one."""
    waiting = b""
    for line in re.findall(rb"[^\n]*\n|[^\n]+", raw):
        if waiting and b"=" in line and line.strip()[:1] not in (b"#", b";"):
            yield waiting + line
            waiting = b""
            continue
        if waiting:
            yield waiting
        waiting = line if line.startswith(_MARK) else b""
        if not waiting:
            yield line
    if waiting:
        yield waiting


def _path(chunk: bytes) -> str | None:
    """The path that a chunk of ours sets; None: it is not ours."""
    comment, _, assignment = chunk.partition(b"\n")
    if not comment.startswith(_MARK) or b"=" not in assignment:
        return None
    return path_of(assignment.partition(b"=")[0].strip().decode("utf-8", "replace"))


def _own_paths(raw: bytes) -> Iterable[str]:
    return (path for chunk in _chunks(raw) if (path := _path(chunk)) is not None)
