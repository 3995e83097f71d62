"""Options of modules that set a sysctl when the module is loaded: modprobe.d(5), and the kernel command line.

From kmod libkmod/libkmod-config.c, net/netfilter/nf_conntrack_core.c: nf_conntrack_init_start(), and
nf_conntrack_expect.c: with `hashsize=N` there are N buckets, in whole pages, and eight times as many entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sockmon.tuning.boot.replay import BootWrite
from sockmon.tuning.boot.sources.config_files import config_lines
from sockmon.tuning.boot.sources.kernel_command_line import SOURCE, built_in, parameters

_MODULE = "nf_conntrack"
_BUCKETS_A_PAGE = 512
_ENTRIES_A_BUCKET = 8
_EXPECTED_A_BUCKET = 4


def module_writes(root: str | Path, command_line: bytes) -> Iterator[BootWrite]:
    """Yield what the options of nf_conntrack set when it is loaded; before that no file can set these keys."""
    for name, value, source in _options(Path(root), command_line):
        number = _number(value)
        if name == "hashsize" and number:
            buckets = -(-number // _BUCKETS_A_PAGE) * _BUCKETS_A_PAGE
            for key, count in (("buckets", buckets), ("max", _ENTRIES_A_BUCKET * buckets)):
                yield BootWrite(f"net/netfilter/{_MODULE}_{key}", str(count).encode(), source)
        elif name == "expect_hashsize" and number:
            count = _EXPECTED_A_BUCKET * number
            yield BootWrite(f"net/netfilter/{_MODULE}_expect_max", str(count).encode(), source)


def applied_at_load(root: str | Path) -> str:
    """Return `FILE:LINE` of what applies the files of sysctl.d for nf_conntrack when it is loaded, as firewalld
    installs it: a command of modprobe.d, or a rule of udev; empty without one."""
    for file, number, line in config_lines(Path(root), "modprobe.d"):
        words = line.split()
        if words[:1] == ["install"] and words[1:2] == [_MODULE] and re.search(r"sysctl\b.*--system", line):
            return f"{file}:{number}"
    for file, number, line in config_lines(Path(root), "udev/rules.d", ".rules"):
        if re.search(rf'KERNEL=="{_MODULE}"', line) and re.search(r"RUN.*sysctl", line):
            return f"{file}:{number}"
    return ""


def _options(root: Path, command_line: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and source of each option; of several the last one counts."""
    found: dict[str, tuple[str, str]] = {}
    # modprobe does not see a module that is part of the kernel.
    for file, number, line in () if built_in(_MODULE, root) else config_lines(root, "modprobe.d"):
        words = line.split()
        if words[:1] == ["options"] and words[1:2] and words[1].replace("-", "_") == _MODULE:
            for word in words[2:]:
                name, _, value = word.partition("=")
                found[name] = value.strip('"'), f"{file}:{number}"
    for parameter, text in parameters(command_line):
        module, dot, name = parameter.decode("utf-8", "replace").partition(".")
        if dot and module.replace("-", "_") == _MODULE and text is not None:
            found[name] = text.decode("utf-8", "replace"), SOURCE
    return ((name, value, source) for name, (value, source) in found.items())


def _number(text: str) -> int:
    """Return an unsigned number as the kernel reads it, with 0x for base 16 and 0 for base 8; 0 if it is none."""
    match = re.fullmatch(r"(0[xX][0-9a-fA-F]+)|(0[0-7]*)|([1-9]\d*)", text)
    if not match:
        return 0
    return int(text, 16 if match[1] else 8 if match[2] else 10)
