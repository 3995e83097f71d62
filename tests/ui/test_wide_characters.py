"""Wide and combining characters: a cell keeps its width, and the next column its place."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from sockmon.text import sanitize
from sockmon.ui.messages import Sampled
from sockmon.ui.widgets.table import Table
from tests.ui import fake_app
from tests.ui.main_app import play, text

WIDE = ("e" + "\u0301" * 4000, "世" * 300, "שלום עולם " * 40, "👩\u200d🔧" * 60, "ｆｕｌｌ" * 80, "\u0300")
"""Combining marks, wide characters, right to left, joined pictures, full width, a mark without a letter."""


@pytest.mark.fault("U2")
@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_no_text_moves_a_column(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        snapshot = fake_app.busy(70)
        assert snapshot.processes is not None
        names = [sanitize(WIDE[number % len(WIDE)]) for number in range(len(snapshot.processes.rows))]
        rows = tuple(
            replace(row, name=name, command=name, user=name)
            for row, name in zip(snapshot.processes.rows, names, strict=True)
        )
        shown = replace(snapshot, processes=replace(snapshot.processes, rows=rows))
        app.post_message(Sampled(fake_app.assess(shown)))
        await pilot.press("2", "z")
        await pilot.pause()
        table = app.screen.query_one("#process-table", Table)
        assert table.region.width > size[0] - 6
        lines = text(app).splitlines()
        assert {cell_len(line) for line in lines} == {size[0]}
        # What ends in one column ends there in each row.
        limits = [line for line in lines if "1,024" in line]
        assert len(limits) > 10
        assert len({cell_len(line[: line.index("1,024")]) for line in limits}) == 1
