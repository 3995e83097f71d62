"""Look at a program as a terminal shows it: run it in a private tmux, press keys, draw the screen as SVG and PNG.

    python screenshots/render.py --size 160x50 --keys "2 Enter" -o board htop
    python screenshots/render.py --size 80x24 --colours 16 -o plain sockmon --from incident.jsonl

Blocks and braille are drawn as shapes: fonts leave seams between them, and many have no braille at all.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from rich.ansi import AnsiDecoder
from rich.cells import cell_len
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

# DejaVu Sans Mono: a cell is 1233/2048 em wide, and its box drawing is 1.1641 em high.
SIZE = 20.0
WIDTH, HEIGHT, BASELINE = SIZE * 1233 / 2048, SIZE * 1.1641, SIZE * 0.928
FONTS = "DejaVu Sans Mono, Menlo, Consolas, monospace"
TERMS = {"16": ("screen", ""), "256": ("screen-256color", ""), "true": ("tmux-256color", "truecolor")}
CRISP = 'shape-rendering="crispEdges"'
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of the dots of a braille character, by bit."""


DOT = WIDTH * 0.32


class Cell(NamedTuple):
    """A character at its place, one or two columns wide."""

    column: int
    text: str
    width: int
    style: Style


def capture(command: list[str], columns: int, rows: int, colours: str, keys: list[str], wait: float) -> str:
    """The screen of `command` with its colours as escape sequences, after the keys; its tmux is gone then."""
    term, colorterm = TERMS[colours]
    tmux = ["tmux", "-L", f"render-{os.getpid()}", "-f", os.devnull]
    start = ["new-session", "-d", "-x", str(columns), "-y", str(rows), "-e", f"COLORTERM={colorterm}"]
    shell = f"TERM={term} {shlex.join(command)}; sleep 60"
    settings = ["set", "-g", "status", "off", ";"]
    environment = {key: value for key, value in os.environ.items() if key not in {"TMUX", "COLORTERM", "NO_COLOR"}}
    environment["LC_ALL"] = "C.UTF-8"

    def say(*words: str) -> str:
        return subprocess.run([*tmux, *words], capture_output=True, text=True, check=True, env=environment).stdout

    say("start-server", ";", *settings, *start, shell)
    try:
        time.sleep(wait)
        for key in keys:
            say("send-keys", key)
            time.sleep(0.4)
        return say("capture-pane", "-e", "-p", "-N")
    finally:
        say("kill-server")


def cells(line: Text) -> Iterator[Cell]:
    """The cells of one captured line."""
    column = 0
    for segment in line.render(Console(width=10_000)):
        for text in segment.text.rstrip("\n"):
            width = cell_len(text)
            yield Cell(column, text, width, segment.style or Style())
            column += width


def colour(one: Color | None, foreground: bool) -> str:
    """As #rrggbb."""
    return (one or Color.default()).get_truecolor(SVG_EXPORT_THEME, foreground=foreground).hex


def colours(style: Style) -> tuple[str, str]:
    """Foreground and background, with reverse and dim worked in."""
    front, back = colour(style.color, True), colour(style.bgcolor, False)
    if style.reverse:
        front, back = back, front
    if style.dim:
        pairs = zip(bytes.fromhex(front[1:]), bytes.fromhex(back[1:]), strict=True)
        front = "#" + bytes((2 * a + b) // 3 for a, b in pairs).hex()
    return front, back


def rect(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1) -> str:
    """An SVG rectangle without seams to its neighbours."""
    faint = f' fill-opacity="{opacity}"' if opacity < 1 else ""
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}"{faint} {CRISP}/>'
    )


def block(code: int, x: float, y: float, fill: str) -> Iterator[str]:
    """U+2580 to U+259F: bars from below, from the left, shades and quadrants."""
    w, h = WIDTH, HEIGHT
    if code == 0x80:
        yield rect(x, y, w, h / 2, fill)
    elif code <= 0x88:
        part = (code - 0x80) / 8
        yield rect(x, y + h * (1 - part), w, h * part, fill)
    elif code <= 0x8F:
        yield rect(x, y, w * (0x90 - code) / 8, h, fill)
    elif code == 0x90:
        yield rect(x + w / 2, y, w / 2, h, fill)
    elif code <= 0x93:
        yield rect(x, y, w, h, fill, (code - 0x90) / 4)
    elif code == 0x94:
        yield rect(x, y, w, h / 8, fill)
    elif code == 0x95:
        yield rect(x + w * 7 / 8, y, w / 8, h, fill)
    else:
        # Bits: upper left, upper right, lower left, lower right.
        for bit in range(4):
            if (0x4, 0x8, 0x1, 0xD, 0x9, 0x7, 0xB, 0x2, 0x6, 0xE)[code - 0x96] >> bit & 1:
                yield rect(x + w / 2 * (bit % 2), y + h / 2 * (bit // 2), w / 2, h / 2, fill)


def braille(code: int, x: float, y: float, fill: str) -> Iterator[str]:
    """U+2800 to U+28FF as dots, all of a character in one path."""
    dots = []
    for bit, (right, down) in enumerate(DOTS):
        if code >> bit & 1:
            left, middle = x + WIDTH * (0.12 + 0.44 * right), y + HEIGHT * (0.125 + 0.25 * down)
            dots.append(f"M{left:.1f} {middle:.1f}h{DOT:.1f}")
    if dots:
        yield f'<path d="{"".join(dots)}" stroke="{fill}" stroke-width="{DOT:.1f}" stroke-linecap="butt"/>'


def letters(text: str, x: float, y: float, style: Style, fill: str) -> str:
    """A run of text."""
    looks = (' font-weight="bold"' if style.bold else "") + (' font-style="italic"' if style.italic else "")
    lines = [name for name, on in (("underline", style.underline), ("line-through", style.strike)) if on]
    looks += f' text-decoration="{" ".join(lines)}"' if lines else ""
    return (
        f'<text x="{x:.2f}" y="{y + BASELINE:.2f}" fill="{fill}"{looks} xml:space="preserve">{escape(text)}</text>'
    )


def draw_line(line: Text, y: float) -> Iterator[str]:
    """The shapes of one line: backgrounds first, then runs of text, blocks and braille."""
    row = list(cells(line))
    for back, together in groupby(row, key=lambda cell: colours(cell.style)[1]):
        ground = list(together)
        if back != colour(None, False):
            begin, end = ground[0].column, ground[-1].column + ground[-1].width
            yield rect(begin * WIDTH, y, (end - begin) * WIDTH, HEIGHT, back)
    for start, text, style in runs(row):
        x, fill, code = start * WIDTH, colours(style)[0], ord(text[0])
        if 0x2580 <= code <= 0x259F:
            yield from block(code - 0x2500, x, y, fill)
        elif 0x2800 <= code <= 0x28FF:
            yield from braille(code - 0x2800, x, y, fill)
        elif text.strip() or style.underline:
            yield letters(text, x, y, style, fill)


def runs(row: list[Cell]) -> Iterator[tuple[int, str, Style]]:
    """Neighbours in one style as one text; everything that another font may draw stands alone, at its place."""
    start, text, style = 0, "", Style()
    for cell in row:
        plain = cell.text.isascii() or "─" <= cell.text <= "╿"
        if text and (not plain or cell.style != style or start + len(text) != cell.column):
            yield start, text, style
            text = ""
        if not plain:
            yield cell.column, cell.text, cell.style
            continue
        if not text:
            start, style = cell.column, cell.style
        text += cell.text
    if text:
        yield start, text, style


def svg(screen: str, columns: int, rows: int) -> str:
    """The whole picture of a captured screen."""
    width, height = columns * WIDTH, rows * HEIGHT
    # One decoder for all lines: a colour that goes on in the next line is not said again.
    lines = map(AnsiDecoder().decode_line, screen.splitlines()[:rows])
    shapes = [shape for y, line in enumerate(lines) for shape in draw_line(line, y * HEIGHT)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {width + 16:.2f} {height + 16:.2f}"'
    style = f'font-family="{FONTS}" font-size="{SIZE}"'
    return "\n".join(
        [f"{head} {style}>", rect(-8, -8, width + 16, height + 16, colour(None, False)), *shapes, "</svg>\n"]
    )


def main() -> int:
    """Draw one command's screen into OUT.svg and, where rsvg-convert is there, OUT.png."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", default="160x50", help="columns x rows")
    parser.add_argument("--keys", default="", help="keys to press, as tmux names them, with spaces between")
    parser.add_argument("--wait", type=float, default=3.0, help="seconds until the first key")
    parser.add_argument("--colours", choices=TERMS, default="true", help="what the terminal claims to have")
    parser.add_argument("-o", "--out", type=Path, default=Path("screen"), help="path without a suffix")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    wanted = parser.parse_args()
    columns, rows = (int(number) for number in wanted.size.split("x"))
    screen = capture(wanted.command, columns, rows, wanted.colours, wanted.keys.split(), wanted.wait)
    picture = wanted.out.with_suffix(".svg")
    picture.write_text(svg(screen, columns, rows))
    print(picture)
    if shutil.which("rsvg-convert"):
        subprocess.run(["rsvg-convert", "-o", picture.with_suffix(".png"), picture], check=True)
        print(picture.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
