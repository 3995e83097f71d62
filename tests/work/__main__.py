"""`python -m tests.work`: count the work of agent and screen again, and accept what is counted."""

from __future__ import annotations

from tests.work.counting import FILE, accept, accepted, count_everything


def main() -> None:
    """Write the numbers, and print those that have changed."""
    before = accepted().counts if FILE.exists() else {}
    now = count_everything()
    for name, number in now.counts.items():
        if number != before.get(name):
            print(f"{name}: {before.get(name, 'new')} → {number}")  # noqa: T201
    accept(now)


if __name__ == "__main__":
    main()
