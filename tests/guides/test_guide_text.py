"""A walk as text: the letters of its choices, commands that are never broken, the examples that fit."""

from __future__ import annotations

from sockmon.cli.guide_text import choices, key_lines, list_lines, step_lines
from sockmon.guides.close_wait import GUIDE as CLOSE_WAIT
from sockmon.guides.facts import Place
from sockmon.guides.findings import where_to_run
from sockmon.guides.guide import Guide
from sockmon.guides.software import examples_of, software_of
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import StateCount, States
from tests.guides.walks import GUIDE, Sample, begin, follow, full
from tests.snapshots import netns, process

ELSEWHERE = Place("live", True, "this is another network namespace", sudo=True, netns="web", entry="web")
LEAKED = {"netns": netns(states=States(0.0, {"CLOSE_WAIT": StateCount(100, 100, 0)}))}


def _at(step: str, guide: Guide, state: Sample) -> Walk:
    walk, stream = begin(state, guide=guide)
    walk.add(stream.next(state, 10))
    for _ in range(8):
        if walk.step.id == step:
            return walk
        assert walk.suggested
        walk.take(walk.suggested.to)
    raise AssertionError(step)


def test_every_choice_has_a_letter_and_enter_takes_the_suggested_one() -> None:
    walk, _ = begin(full())
    assert list(choices(walk)) == ["a", "b", "c"]
    shown = key_lines(walk, 80)
    assert shown[0].split() == ["a", "or", "Enter", "go", "on", "to:", "What", "to", "change"]
    assert shown[1].strip().startswith("b  ")


def test_the_list_names_what_it_is_not_about() -> None:
    rows = [(CLOSE_WAIT, "")]
    said = " ".join("\n".join(list_lines(rows, 80, "", "3 other network namespaces")).split())
    assert "Not sampled: 3 other network namespaces; `sockmon check` judges them" in said
    assert not any("Not sampled" in line for line in list_lines(rows, 200))


def test_letters_stay_when_another_choice_is_suggested() -> None:
    supported, _ = begin(full())
    contradicted, _ = begin(netns())
    for walk in (supported, contradicted):
        assert [each.exit for each in choices(walk).values()] == list(walk.exits)


def test_the_change_has_a_letter_too() -> None:
    walk = _at("widen", GUIDE, full())
    assert choices(walk)["a"].exit is None
    assert choices(walk)["a"].suggested
    assert [each.label for each in choices(walk).values()][1].startswith("it is already changed")


def test_a_command_is_not_broken() -> None:
    walk, _ = begin(full(), ELSEWHERE)
    list(follow(walk))
    (command,) = walk.commands
    assert command.startswith("sudo ip netns exec web sockmon tune apply")
    assert f"    {command}" in step_lines(walk, 40)


def test_commands_name_the_namespace() -> None:
    walk, _ = begin(full(), Place(privileged=False, sudo=True, netns="web", entry="web"))
    assert where_to_run(walk.facts)[0].endswith("sudo sockmon guide toy --netns web")


def test_only_the_example_for_the_owner_is_shown() -> None:
    row = process(name="nginx", command="nginx: worker process", close_wait=100, sockets=110)
    walk = _at("close", CLOSE_WAIT, {**LEAKED, "rows": (row,)})
    assert [each.software for each in examples_of(walk.step, walk.facts).fitting] == ["nginx"]
    lines = "\n".join([*step_lines(walk, 80), *key_lines(walk, 80)])
    assert "nginx: proxy_read_timeout" in lines
    assert "HAProxy: timeout client" not in lines
    assert "e          examples for HAProxy, Envoy, Go" in lines


def test_software_is_told_by_the_program() -> None:
    for name, command, wanted in (
        ("api", "/usr/bin/python3.11 -m api", "Python"),
        ("MainThread", "/usr/local/bin/node server.js", "Node"),
        ("java", "/opt/jdk/bin/java -jar x.jar", "Java"),
        ("postgres", "postgres: writer", "PostgreSQL"),
        ("pythonish", "[pythonish]", ""),
        ("api", "", ""),
    ):
        assert software_of(process(name=name, command=command)) == wanted, name
