"""The benchmarks run, and README.md quotes what the page says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks import page, results
from benchmarks.row import Goal, Row, part_of, times_faster
from tests.netns import ROOT, child_environment


@pytest.mark.usefixtures("needs_userns")
def test_a_benchmark_runs_in_its_state_and_leaves_the_page_alone() -> None:
    before = [path.read_bytes() for path in page.WRITTEN if path.exists()]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "process_table"],
        cwd=ROOT, env=child_environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "process table, faster than psutil" in done.stdout
    assert [path.read_bytes() for path in page.WRITTEN if path.exists()] == before


def test_the_readme_quotes_the_page() -> None:
    found = results.load()
    quoted = page.QUOTE.search(page.README.read_text())
    assert quoted
    assert quoted[0] == (page.quote(found) if found else "")


def test_a_comparison_is_made_round_by_round() -> None:
    ours, theirs = Row("ours", "", "ms", (1.0, 2.0, 4.0)), Row("theirs", "", "ms", (10.0, 10.0, 10.0))
    faster = times_faster("faster", "", ours, theirs, 6)
    assert (faster.values, faster.number, faster.met, faster.loses) == ((10.0, 5.0, 2.5), 5.0, False, False)
    part = part_of("part", "", ours, theirs, 0.7)
    assert (part.values, part.met, part.loses) == ((0.1, 0.2, 0.4), True, False)
    assert part_of("part", "", theirs, ours).loses
    assert (
        part_of("part", "", Row("none", "", "ms", note="htop is not installed"), ours).note
        == "htop is not installed"
    )


def test_what_is_not_met_or_not_measured_is_on_the_page() -> None:
    rows = (
        Row("slow", "slow", "ms", (9.0,), Goal(3)),
        Row("faster", "faster than ss", "×", (0.5,), losing_below=1.0),
        Row("htop", "htop", "%", note="htop is not installed"),
    )
    parts = (
        results.Part("1m", "1,000,000 sockets, of many", rows),
        results.Part("10k", "10,000 sockets", (), "it died"),
    )
    sections = (results.Section("test", "Test", "Text.", parts),)
    text = page.page(results.Results("2026-01-01", 1.0, 0.1, {"kernel": "6.18"}, sections))
    assert "- slow, on 1,000,000 sockets: 9 ms; the goal is ≤ 3 ms." in text
    assert "- faster than ss, on 1,000,000 sockets: 0.50 ×." in text
    assert "- Test, on 10,000 sockets: not measured to the end: it died." in text
    assert "| htop (htop is not installed) | – |" in text
