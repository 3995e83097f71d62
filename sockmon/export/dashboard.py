"""A dashboard for Grafana: the fleet, one host, one ceiling. Its panels are made from the rows of the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from sockmon.ceilings import TITLES

UID = "sockmon-limits"
SCHEMA_VERSION = 39
"""Of Grafana 11; newer ones convert it."""
_WIDTH = 24
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_SELECTED = 'instance=~"$instance"'
_OF_CEILING = _SELECTED + ',ceiling=~"$ceiling"'
_DROPS = (
    "sockmon_listen_overflows_total",
    "sockmon_conntrack_drops_total",
    "sockmon_udp_receive_buffer_errors_total",
    "sockmon_softnet_drops_total",
)
_THRESHOLDS = {
    "mode": "absolute",
    "steps": [
        {"color": "green", "value": None},
        {"color": "yellow", "value": 0.7},
        {"color": "red", "value": 0.9},
    ],
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels = [
        _row(0, 0, "Fleet: the nearest limits"),
        _table(1, 1, 9, "Nearest limits", f"topk(20, sockmon_ceiling_ratio{{{_SELECTED}}})", "percentunit"),
        _table(2, 10, 7, "Full soon", f"bottomk(20, sockmon_ceiling_left_seconds{{{_SELECTED}}})", "s"),
        _row(3, 17, "Host: all limits"),
        _graph(
            4, 18, "Used part of each limit",
            {f"sockmon_ceiling_ratio{{{_OF_CEILING}}}": "{{instance}} {{ceiling}}"},
            "percentunit",
        ),
        _graph(
            5, 26, "TCP sockets",
            {f"sum by (instance, state) (sockmon_tcp_sockets{{{_SELECTED}}})": "{{instance}} {{state}}"},
            "short",
        ),
        _graph(
            6, 34, "Drops and overflows a second",
            {
                f"rate({name}{{{_SELECTED}}}[5m])": f"{{{{instance}}}} {name} {{{{netns}}}}"
                for name in _DROPS
            },
            "cps",
        ),
        _row(7, 42, "Limit: who"),
        _graph(
            8, 43, "Subjects of the limit",
            {f"sockmon_subject_ratio{{{_OF_CEILING}}}": "{{instance}} {{ceiling}} {{subject}} {{netns}}"},
            "percentunit",
        ),
        _table(9, 51, 9, "Who, now", f"topk(50, sockmon_subject_ratio{{{_OF_CEILING}}})", "percentunit"),
    ]  # fmt: skip
    return {
        "uid": UID,
        "title": "sockmon: limits",
        "tags": ["sockmon"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_datasource(), _instances(), _ceilings()]},
        "panels": panels,
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _instances() -> dict[str, Any]:
    return {
        "name": "instance",
        "label": "Host",
        "type": "query",
        "datasource": _DATASOURCE,
        "query": "label_values(sockmon_build_info, instance)",
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "refresh": 2,
    }


def _ceilings() -> dict[str, Any]:
    return {
        "name": "ceiling",
        "label": "Limit",
        "type": "custom",
        "query": ",".join(f"{title} : {name}" for name, title in TITLES.items()),
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
    }


def _row(number: int, y: int, title: str) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": _at(y, 1),
    }


def _at(y: int, height: int) -> dict[str, int]:
    return {"x": 0, "y": y, "w": _WIDTH, "h": height}


def _graph(number: int, y: int, title: str, legends: Mapping[str, str], unit: str) -> dict[str, Any]:
    """Return a graph of each query in `legends`, whose value names its lines."""
    targets = [
        {"refId": letter, "datasource": _DATASOURCE, "expr": query, "legendFormat": legend}
        for letter, (query, legend) in zip(ascii_uppercase, legends.items(), strict=False)
    ]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": _DATASOURCE,
        "gridPos": _at(y, 8),
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
    }


def _table(number: int, y: int, height: int, title: str, query: str, unit: str) -> dict[str, Any]:
    target = {"refId": "A", "datasource": _DATASOURCE, "expr": query, "format": "table", "instant": True}
    hidden = {"Time": True, "__name__": True, "job": True}
    return {
        "id": number + 1,
        "type": "table",
        "title": title,
        "datasource": _DATASOURCE,
        "gridPos": _at(y, height),
        "targets": [target],
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": _THRESHOLDS}, "overrides": []},
        "transformations": [{"id": "organize", "options": {"excludeByName": hidden}}],
        "options": {"showHeader": True, "sortBy": [{"displayName": "Value", "desc": unit == "percentunit"}]},
    }
