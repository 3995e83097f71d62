"""Limits as metrics: OpenMetrics over HTTP or in a file, alert rules, and a dashboard, for Prometheus.

`metrics`, `subjects`, `rules` and `dashboard` are pure; `exporter` samples this host, `web` and `textfile` publish
what it has sampled last. May import `agent`, `assess`, `ceilings` and what these may import. Its tests are in
`tests/export/`.
"""
