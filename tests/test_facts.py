"""Code decides by fields, never by the words of a message: a sentence may be reworded without a change of code.

The rule: an attribute that holds a sentence is not compared, looked up, searched or cut.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns import ROOT

SOURCES = sorted((ROOT / "sockmon").rglob("*.py"))
SENTENCES = {
    *("message", "reason", "reasons", "evidence", "hint", "effect", "warning", "warnings", "refused", "unseen"),
    *("cannot", "paragraph", "unknown_reason", "unavailable_reason", "description", "takes_effect", "consequence"),
}
"""Fields of our own types that hold sentences, and variables that are called like them."""
AS_ATTRIBUTE = frozenset(
    ("text", "words", "title", "what", "paragraphs", "heading", "risk", "unaffected", "misconceptions")
)
"""Fields that hold sentences too, whose names are also those of variables that hold none."""
SEARCHES = {
    *("startswith", "endswith", "removeprefix", "removesuffix", "find", "index", "partition", "rpartition"),
    *("split", "splitlines", "replace", "count"),
}
PATTERNS = frozenset(("search", "match", "fullmatch", "findall", "finditer", "sub"))

ALLOWED = {
    "column.title": "the name of a column, which a view and its sort order are kept by",
    "self.column.title": "the same",
    "raw.text": "a line of a recording, not decoded yet",
    "first.text": "what is typed into the filter",
    "piece.text": "the same",
    "self.text": "the same",
    "row.description": "a symptom: the pane of sockets shows its first sentence, whatever that says",
    "shown.message": "what is on the screen already is not shown twice",
}
"""Attributes that are called like a sentence and are not one, and what they are."""


def sentence(node: ast.expr) -> bool:
    """Return whether `node` is an attribute, an item or a variable with a sentence in it."""
    match node:
        case ast.Attribute(value=ast.Name(id="section"), attr="name"):
            return True
        case ast.Attribute(attr=name):
            return (name in SENTENCES or name in AS_ATTRIBUTE) and ast.unparse(node) not in ALLOWED
        case ast.Name(id=name):
            return name in SENTENCES
        case ast.Subscript(value=ast.Attribute() as value):
            return sentence(value)
        case ast.Call(func=ast.Attribute(value=value, attr="lower" | "casefold" | "strip")):
            return sentence(value)
    return False


def empty(node: ast.expr) -> bool:
    """Return whether `node` is a constant without words: "is there a sentence?" is a fair question."""
    return isinstance(node, ast.Constant) and not (isinstance(node.value, str) and node.value)


def reads(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and code of each place that reads a sentence."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [left, *others]
                for operator, one, other in zip(ops, sides, others, strict=False):
                    contains = isinstance(operator, ast.In | ast.NotIn)
                    equal = isinstance(operator, ast.Eq | ast.NotEq) and not (empty(one) or empty(other))
                    words = isinstance(one, ast.Constant | ast.JoinedStr) or sentence(one)
                    if (contains and (sentence(one) or (sentence(other) and words))) or (
                        equal and (sentence(one) or sentence(other))
                    ):
                        yield node.lineno, ast.unparse(node)
            case ast.Call(func=ast.Attribute(value=value, attr=name), args=arguments):
                if (name in SEARCHES and sentence(value)) or (name in PATTERNS and any(map(sentence, arguments))):
                    yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_reads_a_sentence(path: Path) -> None:
    assert [f"{line}: {code}" for line, code in reads(ast.parse(path.read_text()))] == []


@pytest.mark.parametrize(
    "code",
    [
        '"EPERM" not in error.message',
        'f"with pids " in item.reason',
        "item.reason in sentence",
        'found.message.startswith("(is not there")',
        'section.name == "Advised"',
        'page.title == "Going back"',
        "WITH_IT.search(warning.text)",
        're.search("plan", preview.warnings[0])',
        'reason.partition(": ")',
        "remedy.text in settable",
        'error.hint.lower() == "ask root"',
    ],
)
def test_the_rule_finds(code: str) -> None:
    assert list(reads(ast.parse(code)))


@pytest.mark.parametrize("code", ["error.hint != ''", "if error.message: pass", "key in here.refused", "x == y"])
def test_the_rule_leaves_alone(code: str) -> None:
    assert not list(reads(ast.parse(code)))
