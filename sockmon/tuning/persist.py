"""The file that makes a value last: /etc/sysctl.d/90-sockmon.conf, replaced as a whole, and only where it wins.

Two lines for each key: a comment of ours, and the assignment. All else in the file is somebody's, and stays as it
is, byte for byte. Whoever calls holds the lock of the transaction: there is one writer at a time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from sockmon.model.change import Entry, Setting, Who
from sockmon.model.clean import clean
from sockmon.tuning.boot import Boot, boot
from sockmon.tuning.folder import FILE, Folder, NotPersisted
from sockmon.tuning.sysctl_d import Unread, path_of, read

__all__ = ["FILE", "NotPersisted", "Persisted", "module_rule", "overruled", "persist", "put_back", "trial"]

TRIED = "sockmon"
"""The value of our lines in a trial, which no other line has."""
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


Announce = Callable[[tuple[Entry, ...]], object]
"""Is told what the file says and will say before it is touched; where it raises, nothing is."""


def persist(
    settings: Sequence[Setting],
    who: Who,
    id: str,
    root: str | Path = "/",
    at: float | None = None,
    announce: Announce = lambda entries: None,
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
        ours = _ours(before)
        announce(tuple(Entry(key, ours.get(path_of(key), ""), _text(block)) for key, block in blocks.items()))
        words = folder.replace(after) if after != before else folder.settle()
    # Somebody may have added a file in the meantime: what is said is what is there now.
    late = overruled(settings, boot(root))
    return Persisted(FILE, (*words, *late, *_module_words(settings)))


def put_back(
    entries: Sequence[Entry], root: str | Path = "/", announce: Announce = lambda entries: None
) -> tuple[str, ...]:
    """Let our lines be again what they were before `entries`; a sentence for each key of which they say something
    else by now, and stay.

    Lines that are not ours stay, whatever they set; with the last of ours the file goes. NotPersisted where it
    cannot be written. To do it twice is to do it once."""
    with Folder(Path(root)) as folder:
        content = folder.read()
        ours = _ours(content)
        now = {entry.key: ours.get(path_of(entry.key), "") for entry in entries}
        back = [entry for entry in entries if now[entry.key] == entry.after]
        announce(tuple(Entry(entry.key, entry.after, entry.before) for entry in back))
        words = _put(folder, content, {entry.key: entry.before.encode("latin-1") for entry in back})
    changed = [entry.key for entry in entries if now[entry.key] not in (entry.before, entry.after)]
    return (*words, *(f"{FILE} has another line for {key} by now: it was left alone" for key in changed))


def _put(folder: Folder, content: bytes | None, blocks: dict[str, bytes]) -> tuple[str, ...]:
    after = _merged(content or _HEADER, blocks)
    if not blocks:
        return folder.settle()
    if after in (b"", _HEADER):
        return folder.remove() if content is not None else ()
    return folder.replace(after)


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


def trial(keys: Iterable[str], root: str | Path = "/") -> Boot:
    """The files as they would be with a line of ours for each of `keys`, whatever its value; for a look at who
    would win. A file of ours that cannot be read is in its `unread`."""
    before = b""
    with suppress(OSError, Unread):
        before = read(Path(root, FILE.lstrip("/")))
    blocks = {key: _MARK + b"\n" + f"{key} = {TRIED}\n".encode() for key in keys}
    return boot(root, {FILE: _merged(before or _HEADER, blocks)})


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


def _ours(raw: bytes | None) -> dict[str, str]:
    """Our lines by the path that they set, as whole lines."""
    chunks = ((_path(chunk), chunk.rstrip(b"\n") + b"\n") for chunk in _chunks(raw or b""))
    return {path: _text(chunk) for path, chunk in chunks if path is not None}


def _text(block: bytes) -> str:
    """Whatever somebody has made of our lines, byte for byte."""
    return block.decode("latin-1")
