"""The filter: its syntax, its fields, and the values of rows that it compares.

It may import `assess`, `ceilings` and `model`, and of `ui` only `snapshot_lookup`. Tests:
`tests/ui/test_filter.py`.
"""
