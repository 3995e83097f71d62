"""Grafana's schema of a dashboard, as far as our dashboards go: kinds/dashboard/dashboard_kind.cue of
https://github.com/grafana/grafana. A field that is not here is unknown to it, and an error."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class _Known(Struct, forbid_unknown_fields=True):
    """A definition that is closed."""


class GridPos(_Known):
    h: Annotated[int, Meta(gt=0)]
    w: Annotated[int, Meta(gt=0, le=24)]
    x: Annotated[int, Meta(ge=0, lt=24)]
    y: Annotated[int, Meta(ge=0)]


class DataSourceRef(_Known):
    type: str
    uid: str


class Threshold(_Known):
    color: str
    value: float | None
    """None: minus infinity, of the first."""


class Thresholds(_Known):
    mode: Literal["absolute", "percentage"]
    steps: tuple[Threshold, ...]


class FieldConfig(_Known):
    unit: str | UnsetType = UNSET
    decimals: float | UnsetType = UNSET
    min: float | UnsetType = UNSET
    max: float | UnsetType = UNSET
    thresholds: Thresholds | UnsetType = UNSET
    custom: dict[str, Any] | UnsetType = UNSET


class FieldConfigSource(_Known):
    defaults: FieldConfig
    overrides: tuple[dict[str, Any], ...]


class Transformation(_Known):
    id: str
    options: dict[str, Any]


class Target(Struct):
    """Each kind of data source adds what it asks for; ours is Prometheus."""

    refId: str
    datasource: DataSourceRef
    expr: str


class Panel(_Known):
    type: Literal["timeseries", "table"]
    id: Annotated[int, Meta(ge=0)]
    title: str
    datasource: DataSourceRef
    gridPos: GridPos
    targets: tuple[Target, ...]
    options: dict[str, Any]
    fieldConfig: FieldConfigSource
    transformations: tuple[Transformation, ...] = ()
    description: str | UnsetType = UNSET


class Row(_Known):
    type: Literal["row"]
    id: Annotated[int, Meta(ge=0)]
    collapsed: bool
    title: str
    gridPos: GridPos
    panels: tuple[Panel, ...]


class Variable(Struct):
    """Open: each type of variable has fields of its own."""

    name: Annotated[str, Meta(pattern=r"^\w+$")]
    type: Literal["query", "adhoc", "constant", "datasource", "interval", "textbox", "custom", "system"]
    query: str
    label: str
    datasource: DataSourceRef | UnsetType = UNSET


class Templating(_Known):
    list: tuple[Variable, ...]


class Dashboard(_Known):
    uid: Annotated[str, Meta(min_length=8, max_length=40)]
    title: str
    tags: tuple[str, ...]
    schemaVersion: Annotated[int, Meta(ge=36)]
    editable: bool
    refresh: str
    time: dict[Literal["from", "to"], str]
    templating: Templating
    panels: tuple[dict[str, Any], ...]
    graphTooltip: Literal[0, 1, 2] = 0
