"""The rules of one network namespace that translate source addresses, or leave packets untracked: nftables,
iptables on nftables, and iptables-legacy. Tests are in `tests/kernel/test_nat_rules.py`."""
