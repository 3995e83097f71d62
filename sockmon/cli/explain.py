"""`sockmon explain`: find the topic, sample this machine for it, and build the explanation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sockmon.cli.names import boot_lines, keys_present
from sockmon.cli.port_use import port_use
from sockmon.cli.sysctl_values import read_sysctls
from sockmon.errors import NoSuchNamespace, SockmonError
from sockmon.explain.evidence import PORT_SYMPTOMS
from sockmon.explain.explanation import Explanation, build_explanation, sysctls_of
from sockmon.explain.log_line import is_log_line, read_log_line
from sockmon.explain.observation import Observation
from sockmon.explain.plateaus import Number
from sockmon.explain.symptoms import Symptom
from sockmon.explain.topics import MAX_TOPIC_CHARS, find
from sockmon.kernel.limit_origin.configured import find_configured
from sockmon.labs import LABS
from sockmon.observe import observe_once
from sockmon.tunables import Tunable
from sockmon.tuning.planning.naming import NamedKey


def explain(text: str, netns: str | None = None) -> Explanation:
    """Return the explanation of what `text` names, with the values of `netns`; raise NoSuchName."""
    topic = find(text, keys_present(text))
    # The program that stops at a number may be in any container.
    now = observe(netns, sysctls_of(topic), others=isinstance(topic, Number) and netns is None)
    if isinstance(topic, NamedKey) and not isinstance(topic.about, Tunable):
        now = replace(now, boot_lines=boot_lines(topic.key, topic.about, netns, now.sysctls[topic.key]))
    if not isinstance(topic, Symptom) or not is_log_line(text, topic):
        return build_explanation(topic, now, _lab_commands())
    line = read_log_line(text.strip()[:MAX_TOPIC_CHARS])
    if line.names_limits_conf:
        now = replace(now, configured_limits=find_configured("nofile"))
    if line.port and topic.name in PORT_SYMPTOMS:
        now = replace(now, port=port_use(line.port, netns, now.snapshot))
    return build_explanation(topic, now, _lab_commands(), line)


def observe(netns: str | None, sysctls: Iterable[str] = (), others: bool = False) -> Observation:
    """Return a sample as `sockmon check` takes it, or the reason why it failed; raise NoSuchNamespace. With
    `others` the report has all network namespaces of the host."""
    values = read_sysctls(sysctls, netns)
    try:
        every = observe_once(netns, others=others)
    except NoSuchNamespace:
        raise
    except (SockmonError, OSError) as error:
        return Observation(None, None, {}, f"this machine could not be read: {error}", values)
    first = every.of_first
    report, snapshot = every.report if others else first.report, first.snapshot
    counters = snapshot.netns[0].counters
    return Observation(report, snapshot, counters, sysctls=values, queries=first.queries)


def _lab_commands() -> dict[str, list[str]]:
    """Return the commands of the labs that reach each ceiling."""
    commands: dict[str, list[str]] = {}
    for each in LABS:
        if each.ceiling:
            commands.setdefault(each.ceiling, []).append(f"sockmon lab run {each.name}: {each.scenario}")
    return commands
