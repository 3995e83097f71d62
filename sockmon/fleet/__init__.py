"""Many hosts, ranked by their nearest limit: from the metrics in a Prometheus, or from their own reports over ssh.

`hosts`, `queries`, `ranking`, `grouping` and `address` are pure; `prometheus` asks the HTTP API, `reading` reads a
fleet once; `feed` and `streams` read it again and again, for the screen. May import `assess`, `ceilings`, `model`,
`sources` and what these may import. Its tests are in `tests/fleet/`.
"""
