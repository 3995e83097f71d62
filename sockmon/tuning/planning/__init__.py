"""Plan a change: check the values, predict effects, warn, refuse, and order the writes. Pure: no clock, no file.

May import `tunables`, `ceilings`, `model` and `limit_origin.text`, which is pure too. Tests: tests/tuning,
test_plan, test_plan_in_namespaces, test_process_limits, test_naming, test_not_advised and test_undo."""
