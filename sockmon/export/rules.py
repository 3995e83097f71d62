"""Alerting and recording rules for Prometheus: two alerts a ceiling, by the severities that each host has judged.

The levels are those of the hosts: an alert asks for the severity, so that it and the board never disagree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sockmon.ceilings import CEILINGS, Ceiling
from sockmon.ceilings.level_rules import LevelRules
from sockmon.document import sentence

WARNING_FOR, CRITICAL_FOR = "5m", "1m"
"""How long a severity must last: sockmon has its own hysteresis, so a short time is enough."""
STALE_SECONDS = 120
_EXPRESSION = (
    'max by (instance, job, ceiling) (sockmon_ceiling_severity{ceiling="%s",sockmon_ceiling_severity=~"%s"}) == 1'
)
_NOT_CRITICAL = (
    ' unless on (instance, job, ceiling) ALERTS{alertname="%s",severity="critical",alertstate="firing"}'
)
"""Of a warning. It asks for all alarms: what is critical now and then, and a warning otherwise, is a warning."""
_WHO = (
    '{{ range printf `topk(3, sockmon_subject_ratio{instance=%%q,job=%%q,ceiling="%s"})`'
    " $labels.instance $labels.job | query }}"
    " {{ .Labels.subject }}{{ with .Labels.netns }} ({{ . }}){{ end }}: {{ .Value | humanizePercentage }}."
    "{{ end }}"
)
"""The fullest subjects, at the time of the alert."""


_SUMMARIES = {"warning": "warning", "critical": "critical or hit"}
_KNOWN = "instance:sockmon_known:max"
"""Hosts that had metrics since Prometheus began to scrape them: it asks for its own last value."""


def alert_name(ceiling: Ceiling) -> str:
    """Return `SockmonEphemeralPorts`."""
    return "Sockmon" + "".join(part.capitalize() for part in ceiling.id.split("-"))


def rules(levels: LevelRules, docs: str = "") -> dict[str, Any]:
    """Return the content of a rule file: recording rules, alerts of each ceiling, and alerts about sockmon.

    `docs` is where docs/ceilings.md can be read; empty: no alert links to it."""
    return {
        "groups": [
            {"name": "sockmon-recording", "rules": list(_recording())},
            {
                "name": "sockmon-limits",
                "rules": [rule for row in CEILINGS for rule in _alerts(row, levels, docs)],
            },
            {"name": "sockmon-itself", "rules": list(_about_sockmon())},
        ]
    }


def as_yaml(content: dict[str, Any]) -> str:
    """Return a rule file."""
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=4096))


def _recording() -> Iterator[dict[str, Any]]:
    yield {
        "record": "instance:sockmon_ceiling_ratio:max",
        "expr": "max by (instance, job) (sockmon_ceiling_ratio)",
    }
    yield {
        "record": "instance:sockmon_ceiling_left_seconds:min",
        "expr": "min by (instance, job) (sockmon_ceiling_left_seconds)",
    }


def _alerts(row: Ceiling, levels: LevelRules, docs: str) -> Iterator[dict[str, Any]]:
    found = levels.general(row.id)
    for severity, states, duration, level in (
        ("critical", "critical|hit", CRITICAL_FOR, found.critical),
        ("warning", "warning|critical|hit", WARNING_FOR, found.warning),
    ):
        percent = f" By default the level is {100 * level:.4g}% of the limit." if level <= 1 else ""
        annotations = {
            "summary": f"{row.title} on {{{{ $labels.instance }}}}: {_SUMMARIES[severity]}",
            "description": f"{sentence(row.consequence)}{percent}{_WHO % row.id}",
            "remedy": sentence(row.manual.raise_now),
            "explain": f"sockmon explain {row.id}",
        }
        yield {
            "alert": alert_name(row),
            "expr": _EXPRESSION % (row.id, states)
            + (_NOT_CRITICAL % alert_name(row) if severity == "warning" else ""),
            "for": duration,
            "labels": {"severity": severity},
            "annotations": annotations | ({"runbook_url": f"{docs}#{row.id}"} if docs else {}),
        }


def _about_sockmon() -> Iterator[dict[str, Any]]:
    instance = "{{ $labels.instance }}"
    yield {
        "alert": "SockmonStale",
        "expr": f"time() - sockmon_sample_timestamp_seconds > {STALE_SECONDS}",
        "for": CRITICAL_FOR,
        "labels": {"severity": "warning"},
        "annotations": {
            "summary": f"sockmon on {instance} has taken no sample for {STALE_SECONDS} s",
            "description": "Its metrics are those of the last sample, and the log of the exporter has the reason;"
            " or the clock there is wrong.",
        },
    }
    yield {
        "record": _KNOWN,
        "expr": f"max by (instance, job) (sockmon_build_info) or {_KNOWN} and on (instance, job) up",
    }
    yield {
        "alert": "SockmonGone",
        "expr": f"{_KNOWN} unless on (instance, job) sockmon_build_info",
        "for": WARNING_FOR,
        "labels": {"severity": "warning"},
        "annotations": {
            "summary": f"{instance} had metrics of sockmon, and has none now",
            "description": "The host, its exporter or the way to it is down, so its limits are not known and no"
            " other alert of it can fire. This one ends when Prometheus does not scrape the host any more.",
        },
    }
    yield {
        "alert": "SockmonUnknown",
        "expr": 'sockmon_verdict{sockmon_verdict="unknown"} == 1',
        "for": WARNING_FOR,
        "labels": {"severity": "warning"},
        "annotations": {
            "summary": f"sockmon on {instance} can judge no limit",
            "description": "Nothing could be read. sockmon_missing says what, and `sockmon check` there why.",
        },
    }
