"""The rules and the dashboard: what Prometheus's own tool says of them, and which alerts fire."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml

from sockmon.ceilings import CEILINGS
from sockmon.ceilings.level_rules import LevelRule, LevelRules
from sockmon.ceilings.selector import Selector
from sockmon.export.dashboard import dashboard
from sockmon.export.metrics import METRICS
from sockmon.export.rules import alert_name, as_yaml, rules
from sockmon.fleet.queries import OLDER_TREND, TREND, EveryHost, OlderHosts, SickHosts
from sockmon.model.snapshot import Snapshot
from tests.export import grafana
from tests.export.test_metrics import samples
from tests.snapshots import process, snapshot

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool")
SUFFIXES = {"counter": "_total", "info": "_info"}
EXPORTED = {metric.name + SUFFIXES.get(metric.kind, "") for metric in METRICS}


def promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(as_yaml(rules(LevelRules())))
    assert f"{2 * len(CEILINGS) + 6} rules found" in promtool("check", "rules", str(path))


def series(found: Snapshot) -> list[dict[str, str]]:
    return [
        {"series": f'{row.name}{{{labels(row.labels)},instance="web-1"}}', "values": f"{row.value}x10"}
        for row in samples(found)
        if row.labels
    ]


def labels(found: dict[str, str]) -> str:
    return ",".join(f"{name}={json.dumps(value)}" for name, value in found.items())


def alert(severity: str) -> dict[str, object]:
    row = next(row for row in CEILINGS if row.id == "process-fds")
    states = {"warning": "warning", "critical": "critical or hit"}[severity]
    written = {
        rule["labels"]["severity"]: rule["annotations"]
        for group in rules(LevelRules())["groups"]
        for rule in group["rules"]
        if rule.get("alert") == alert_name(row)
    }
    used = {"warning": "83.01%", "critical": "100%"}[severity]
    description = re.sub(r"\{\{.*\}\}", f" nginx: {used}.", str(written[severity]["description"]))
    return {
        "exp_labels": {"severity": severity, "instance": "web-1", "ceiling": "process-fds"},
        "exp_annotations": {
            **written[severity],
            "summary": f"{row.title} on web-1: {states}",
            "description": description,
        },
    }


@needs_promtool
@pytest.mark.parametrize(("used", "severity"), [(10, ""), (850, "warning"), (1024, "critical")])
def test_an_alert_fires_for_what_the_board_shows(tmp_path: Path, used: int, severity: str) -> None:
    (tmp_path / "rules.yml").write_text(as_yaml(rules(LevelRules())))
    expected = [alert(severity)] if severity else []
    names = sorted({alert_name(row) for row in CEILINGS})
    checked = [
        {"eval_time": "8m", "alertname": name, "exp_alerts": expected if name == "SockmonProcessFds" else []}
        for name in names
    ]
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series(snapshot(0.0, process(fds=used))),
                "alert_rule_test": checked,
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    promtool("test", "rules", str(path))


def fires(tmp_path: Path, series: dict[str, str], expected: dict[str, dict[str, list[str]]]) -> None:
    """Let promtool check which severities of which alerts fire when: alert → time → severities."""
    content = rules(LevelRules())
    for group in content["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    (tmp_path / "rules.yml").write_text(as_yaml(content))
    host = {"instance": 'web"1\\', "job": "sockmon"}
    ceiling = {"ceiling": "process-fds"} if "SockmonProcessFds" in expected else {}
    checked = [
        {
            "eval_time": at,
            "alertname": name,
            "exp_alerts": [{"exp_labels": {"severity": each, **host, **ceiling}} for each in severities],
        }
        for name, times in expected.items()
        for at, severities in times.items()
    ]
    rows = [
        {"series": f"{name}{{{more},{labels(host)}}}".replace("{,", "{"), "values": values}
        for key, values in series.items()
        for name, _, more in [key.partition(" ")]
    ]
    test = {"interval": "1m", "input_series": rows, "alert_rule_test": checked}
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", str(path))


@needs_promtool
def test_a_host_that_vanishes_is_an_alert_until_it_is_no_target_any_more(tmp_path: Path) -> None:
    fires(
        tmp_path,
        {
            "sockmon_build_info": "1x10 stale",
            'sockmon_ceiling_severity ceiling="process-fds",sockmon_ceiling_severity="hit"': "1x10 stale",
            "up": "1x10 0x200 stale",
        },
        {
            "SockmonGone": {"10m": [], "12m": [], "17m": ["warning"], "3h": ["warning"], "4h": []},
        },
    )
    fires(
        tmp_path,
        {'sockmon_ceiling_severity ceiling="process-fds",sockmon_ceiling_severity="hit"': "1x10 stale"},
        {"SockmonProcessFds": {"10m": ["critical"], "12m": []}},
    )


@needs_promtool
def test_what_is_critical_now_and_then_is_a_warning_and_no_more(tmp_path: Path) -> None:
    state = 'sockmon_ceiling_severity ceiling="process-fds",sockmon_ceiling_severity="{}"'.format
    turns = {state("warning"): "1 0 " * 8 + "0x20", state("hit"): "0 1 " * 8 + "1x20"}
    # After 16 minutes it stays hit, and one alert is enough.
    fires(tmp_path, turns, {"SockmonProcessFds": {"4m": [], "8m": ["warning"], "20m": ["critical"]}})


def test_levels_of_the_config_are_in_the_text() -> None:
    own = LevelRules([LevelRule(Selector("process-fds", ""), warning=0.42)])
    assert "the level is 42% of the limit" in as_yaml(rules(own))


def test_alerts_link_to_the_docs_if_it_is_known_where_they_are() -> None:
    assert "runbook_url" not in as_yaml(rules(LevelRules()))
    assert "runbook_url: https://x/ceilings.md#process-fds" in as_yaml(
        rules(LevelRules(), "https://x/ceilings.md")
    )


def queried(text: str) -> set[str]:
    return set(re.findall(r"\bsockmon_[a-z_]+", text))


def test_rules_and_dashboard_ask_for_metrics_that_exist() -> None:
    text = as_yaml(rules(LevelRules())) + json.dumps(dashboard())
    assert queried(re.sub(r"instance:\w+:\w+", "", text)) - {"sockmon_ceiling_severity"} <= EXPORTED


def expressions() -> list[str]:
    """Return what the dashboard and the screen of a fleet ask for, with a value in place of each variable."""
    asked = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    templates = (*EveryHost(), *OlderHosts(), *SickHosts(), TREND, OLDER_TREND)
    fleet = [each.format('job="sockmon"') for each in templates]
    return [re.sub(r"\$(\w+|\{\w+\})", "web-1", each) for each in asked] + fleet


@needs_promtool
def test_prometheus_parses_every_expression(tmp_path: Path) -> None:
    asked = expressions()
    rows = [{"record": f"parsed:{number}", "expr": each} for number, each in enumerate(asked)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "parsed", "rules": rows}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", str(path))


def test_the_dashboard_has_what_grafana_needs() -> None:
    found = msgspec.to_builtins(msgspec.convert(dashboard(), grafana.Dashboard))
    for panel in found["panels"]:
        msgspec.convert(panel, grafana.Row if panel["type"] == "row" else grafana.Panel)
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    bottom = 0
    for panel in panels:
        place = panel["gridPos"]
        assert place["y"] >= bottom, f"{panel['title']} covers another panel"
        assert place["x"] + place["w"] <= 24
        bottom = place["y"] + place["h"]
        if panel["type"] != "row":
            assert all(target["expr"] for target in panel["targets"])
    assert {variable["name"] for variable in found["templating"]["list"]} == {"datasource", "instance", "ceiling"}
