"""Addresses and rules of one network namespace, for the page about it: read in a process of its own (child.py),
with pyroute2, which costs 20 MB and 0.3 s. Tests are in `tests/kernel/test_netns_rules.py`."""
