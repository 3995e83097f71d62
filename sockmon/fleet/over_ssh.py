"""Read a few hosts once over ssh: by `sockmon check` on each, or by the samples of an agent that is sent there."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from sockmon.errors import BadRecording, SourceLost
from sockmon.fleet.hosts import Fleet, FleetHost
from sockmon.fleet.reading import fleet_of, host_addresses, host_of
from sockmon.fleet.remote_command import RemoteCommand
from sockmon.model.report import Report
from sockmon.model.snapshot import Snapshot
from sockmon.observe import report_of_samples
from sockmon.sources import push, ssh
from sockmon.sources.ssh import Address
from sockmon.sources.ssh_failure import failure
from sockmon.sources.wire import read_stream

MAX_PARALLEL = 16


def over_ssh(specs: Sequence[str], command: str = "sockmon", pushed: bool = False) -> Fleet:
    """Return the verdict of each host; one that cannot be read is a host with the reason. `pushed`: the agent is
    sent to each host, and its samples are judged here."""
    addresses = host_addresses(specs)
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        found = list(pool.map(lambda address: _host(address, command, pushed), addresses))
    return fleet_of("ssh", found)


def _host(address: Address, command: str, pushed: bool) -> FleetHost:
    words = push.command(address) if pushed else ssh.remote(address, [command, "check", "--json"])
    parcel = push.parcel([push.SAMPLES]) if pushed else b""
    try:
        with RemoteCommand(words, parcel) as remote:
            report = _pushed_report(remote, address) if pushed else _report(remote)
    except FileNotFoundError:
        return _failed(address.name, "ssh is not installed here")
    except OSError as error:
        return _failed(address.name, f"ssh could not be started: {error.strerror}")
    except SourceLost as error:
        return _failed(address.name, error.message, error.hint)
    except (msgspec.MsgspecError, BadRecording) as error:
        if remote.code:
            hint = push.NOT_FOUND_HINT if pushed else ssh.NOT_FOUND_HINT
            return _failed(address.name, *failure(address, remote.code, remote.last_words, hint))
        if isinstance(error, BadRecording):
            return _failed(address.name, error.message, error.hint)
        return _failed(
            address.name, "it printed no report", f"see what it prints: {address.login} {command} check"
        )
    return host_of(address.name, report)


def _report(remote: RemoteCommand) -> Report:
    """Return the report of `check --json`, also if the shell there prints lines of its own before or after it."""
    answer = b"".join([b"\n", *iter(remote.read, b""), b"\n"])
    # `check` indents: only the first and the last line of its report are a brace alone.
    begin, end = answer.find(b"\n{\n"), answer.rfind(b"\n}\n")
    return msgspec.json.decode(answer[begin : end + 2] if 0 <= begin < end else answer, type=Report)


def _pushed_report(remote: RemoteCommand, address: Address) -> Report:
    lines = read_stream(remote.read, "what it printed", address.login)
    return report_of_samples(line for line in lines if isinstance(line, Snapshot))


def _failed(name: str, reason: str, hint: str = "") -> FleetHost:
    return FleetHost(name, "failed", "unknown", reason="; ".join(filter(None, (reason, hint))))
