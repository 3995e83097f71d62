"""One change from its plan to its end: journal, guard, watchdog, rollback, recovery, history. The only code that
writes.

Read `guard.py` first (the one writer), then `guard_watchdog.py` (the two processes) and `journal.py` (KEEP is the
commit point). May import `tuning.boot`, `tunables`, `kernel` and `model`. Tests: `tests/tuning/`, first
test_transaction.py, test_crashes.py and test_kills.py."""
