"""The drop-in that makes values persist: /etc/sysctl.d/90-sockmon.conf, written only if its lines win at boot.

It has two lines for each key: a comment of ours, and the assignment. Everything else in the file is kept byte for
byte. The caller holds the lock of the transaction, so there is one writer at a time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sockmon.model.plan import Setting
from sockmon.model.transaction import Actor, SysctlFileEdit
from sockmon.text import sanitize
from sockmon.tunables import BY_KEY
from sockmon.tuning.boot.at_boot import NotSet, not_set_at_boot
from sockmon.tuning.boot.atomic_file import FILE, NotPersisted, SysctlDropinDir
from sockmon.tuning.boot.kernel_rules import same_number
from sockmon.tuning.boot.kernel_write import Kernel
from sockmon.tuning.boot.modules import late_module
from sockmon.tuning.boot.sysctl_d import UnreadableFile, key_of, path_of, read_file
from sockmon.tuning.boot.this_kernel import this_kernel
from sockmon.tuning.boot.winning_line import BootFiles, read_boot_files

__all__ = [
    "FILE", "NotPersisted", "assignments", "content_without", "persist", "remove_lines",
    "restore_lines", "simulate", "udev_rule",
]  # fmt: skip

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

    `at` is the wall clock. Raise NotPersisted, with nothing changed, if the file cannot be written, or if a boot
    would not set the values under systemd-sysctl or under `sysctl --system`. Idempotent."""
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() if at is None else at))
    blocks = {setting.key: _block(setting, actor, transaction, day) for setting in settings}
    with SysctlDropinDir(Path(root)) as directory:
        before = directory.read()
        after, problems = _arranged(before, blocks, root)
        _require_no_problem(problems)
        ours = _our_lines(before)
        before_write(
            tuple(SysctlFileEdit(key, ours.get(path_of(key), ""), _decode(block)) for key, block in blocks.items())
        )
        warnings = directory.replace(after) if after != before else directory.fsync_dir()
    # Another process may have added a file in the meantime.
    late = not_set_at_boot(settings, read_boot_files(root), this_kernel())
    return (*warnings, *(each.message for each in late), *_udev_hints(settings, Path(root)))


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
        blocks = {entry.key: entry.before.encode("latin-1") for entry in back}
        warnings = _write_merged(directory, content, blocks, root)
    changed = [entry.key for entry in entries if now[entry.key] not in (entry.before, entry.after)]
    left = "was changed since: it was left alone; to remove it: sockmon tune forget"
    return (*warnings, *(f"the line for {key} in {FILE} {left} {key}" for key in changed))


def remove_lines(
    keys: Sequence[str], root: str | Path = "/", before_write: BeforeWrite = lambda entries: None
) -> tuple[str, ...]:
    """Remove our lines for `keys`, whatever they set; return warnings.

    Lines that are not ours are kept; a file without any line of ours is removed. Raise NotPersisted if the file
    cannot be written. Idempotent."""
    with SysctlDropinDir(Path(root)) as directory:
        content = directory.read()
        ours = _our_lines(content)
        there = [key for key in keys if path_of(key) in ours]
        before_write(tuple(SysctlFileEdit(key, ours[path_of(key)], "") for key in there))
        return _write_merged(directory, content, dict.fromkeys(there, b""), root)


def content_without(keys: Iterable[str], content: bytes) -> bytes:
    """Return the content of our file without our lines for `keys`."""
    return _merged(content, dict.fromkeys(keys, b""))


def assignments(content: bytes) -> dict[str, str]:
    """Return what our lines set, `net.core.somaxconn = 8192`, by the path below /proc/sys."""
    return {path: sanitize(lines.splitlines()[-1], 400) for path, lines in _our_lines(content).items()}


def _write_merged(
    directory: SysctlDropinDir, content: bytes | None, blocks: dict[str, bytes], root: str | Path
) -> tuple[str, ...]:
    if not blocks:
        return directory.fsync_dir()
    after, _ = _arranged(content, blocks, root)
    if after in (b"", _HEADER):
        return directory.remove() if content is not None else ()
    return directory.replace(after)


def _arranged(
    before: bytes | None, blocks: dict[str, bytes], root: str | Path
) -> tuple[bytes, tuple[NotSet, ...]]:
    """Return the file with our lines for the keys of `blocks`, in an order in which a boot sets all lines of ours;
    if there is none, in place, with the reasons.

    A range of ports that begins below the port start of that moment is refused, so the order matters."""
    content, kernel = before or _HEADER, this_kernel()
    asked = {same_number(path_of(key))[0] for key in blocks}
    failed_before = {each.key for each in _not_set(content, root, kernel)}
    first: tuple[bytes, tuple[NotSet, ...]] | None = None
    for after in _arrangements(content, blocks):
        # A line of ours that did not hold before is no reason to refuse this change.
        problems = tuple(
            each
            for each in _not_set(after, root, kernel)
            if path_of(each.key) in map(path_of, blocks) or not _excused(each.key, failed_before, asked)
        )
        if not problems:
            return after, ()
        first = first or (after, problems)
    assert first is not None
    return first


def _excused(key: str, failed_before: Collection[str], asked: Collection[str]) -> bool:
    return key in failed_before or same_number(path_of(key))[0] in asked


def _not_set(content: bytes, root: str | Path, kernel: Kernel) -> tuple[NotSet, ...]:
    """Return which of our lines in `content` a boot would not set."""
    lines = ((key_of(path), block) for path, block in _our_lines(content).items())
    settings = [Setting(key, "", block.rpartition("=")[2].strip()) for key, block in lines if key in BY_KEY]
    return not_set_at_boot(settings, read_boot_files(root, {FILE: content}), kernel)


def _arrangements(content: bytes, blocks: dict[str, bytes]) -> Iterator[bytes]:
    """Yield the file with the new lines in place of the old ones; then, unless a line of others is about one of
    these keys, with the new lines last, in both orders."""
    yield _merged(content, blocks)
    firsts = {same_number(path_of(key))[0] for key in blocks}
    if any(_is_about(chunk, firsts) for chunk in _chunks(content) if _path_set_by(chunk) is None):
        return
    without = _merged(content, dict.fromkeys(blocks, b""))
    yield _merged(without, blocks)
    yield _merged(without, dict(reversed(blocks.items())))


def _is_about(chunk: bytes, firsts: Collection[str]) -> bool:
    key = chunk.strip().removeprefix(b"-").partition(b"=")[0].strip().decode("utf-8", "replace")
    return same_number(path_of(key))[0] in firsts


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


def _udev_hints(settings: Iterable[Setting], root: Path) -> Iterable[str]:
    for setting in settings:
        if (rule := udev_rule(setting.key)) and late_module(setting.key, root):
            yield (
                f"{setting.key} exists only after nf_conntrack is loaded, which may be after systemd-sysctl ran:"
                f" in that case add /etc/udev/rules.d/90-sockmon.rules with {rule}"
            )


def _require_no_problem(problems: Sequence[NotSet]) -> None:
    if not problems:
        return
    ways_out = dict.fromkeys(each.way_out for each in problems if each.way_out)
    hint = f"to persist it, {', and '.join(ways_out)}" if ways_out else ""
    raise NotPersisted("; ".join(dict.fromkeys(each.message for each in problems)), hint)


def _block(setting: Setting, actor: Actor, transaction: str, day: str) -> bytes:
    """Return the two lines for one key; raise NotPersisted if a field has a character that must not be in the
    file."""
    if not setting.is_sysctl:
        raise NotPersisted(f"{setting.name} is not a sysctl", "use a drop-in of its systemd unit")
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
