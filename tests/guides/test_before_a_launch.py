"""The guide for a launch: on a healthy lab, on one with an alarm, on an idle host, and each branch."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.guides.before_a_launch import GUIDE
from sockmon.guides.facts import Facts, Place
from sockmon.guides.launch.program import shape_of
from sockmon.guides.launch.requirement import number_of
from sockmon.guides.launch.shape import SHAPES, Shape
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import Cgroups, Conntrack, MemoryCgroup, Netns, Owner, PidsCgroup, Process
from tests.guides.lab_walks import path, walk_on_lab
from tests.guides.walks import Stream, branches, follow, taken, transaction
from tests.snapshots import cgroups, group, listener, netns, ports, process

NAME = GUIDE.name
NGINX = Owner(1044, 7, "nginx", 600)
ROOMY = Cgroups(0.0, (), (), False)


def test_on_its_lab_more_descriptors_are_verified() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "10000", "--yes")
    assert path(walk) == ["now", "shape", "server-epoll", "remedy", "raise", "raised", "verified"]
    (change,) = walk.changes
    assert [(setting.key, change.state) for setting in change.settings] == [("nofile", "kept")]
    assert int(change.settings[0].new.split(":")[0]) > 10000


def test_an_alarm_is_named_and_does_not_stop_the_question() -> None:
    walk = walk_on_lab(NAME, "process-fds", "10000", "--yes")
    assert path(walk)[:2] == ["now", "shape"]
    assert "api-server" in walk.steps[0].text
    assert path(walk)[-1] == "verified"


def test_an_alarm_of_another_program_is_in_the_answer() -> None:
    walk = _begin("100", _stream(_server(), process(2000, fds=1024, soft=1024, name="leaky")))
    assert walk.outcome == "not-here"
    assert any("leaky[2000]" in text for text in walk.advice)


def test_an_idle_host_holds_a_few() -> None:
    walk = walk_on_lab(NAME, "idle-box", "100", "--yes")
    assert path(walk) == ["now", "shape", "server-epoll", "not-here"]
    assert walk.changes == ()


def _server(**changes: Any) -> Process:
    return process(**({"fds": 700, "soft": 4096, "sockets": 600, "exempt": True} | changes))


def _part(**changes: Any) -> Netns:
    return netns(**({"listeners": (listener(owner=NGINX, backlog=4095),)} | changes))


def _proxied(used: int = 600) -> Netns:
    return _part(ports=ports(replace(group(used), owners=(NGINX,))))


def _stream(*rows: Process, **changes: Any) -> Stream:
    return Stream(
        processes=rows or (_server(),), changes={"available_memory": 8 << 30, "cgroups": ROOMY} | changes
    )


def _begin(number: str, stream: Stream, part: Netns | None = None, place: Place | None = None) -> Walk:
    walk = Walk(GUIDE, stream.next(part or _part()), place or Place(), number)
    list(follow(walk))
    return walk


def _in_shape(shape: Shape, number: str, stream: Stream, part: Netns | None = None) -> Walk:
    """Return a walk on which the reader has chosen a shape."""
    walk = Walk(GUIDE, stream.next(part or _part()), number=number)
    walk.take("shape")
    walk.take(shape.id)
    list(follow(walk))
    return walk


def _plan(walk: Walk) -> dict[str, int]:
    return {each.key: int(each.value.split()[-1]) for each in walk.wanted}


@pytest.mark.parametrize(
    ("rows", "part", "shape"),
    [
        ((_server(),), _part(), Shape("server", "epoll")),
        ((_server(threads=600),), _part(), Shape("server", "threads")),
        ((_server(),), _proxied(), Shape("proxy", "epoll")),
        ((_server(threads=600),), _proxied(), Shape("proxy", "threads")),
        ((_server(),), replace(_proxied(), listeners=()), Shape("client", "epoll")),
        ((_server(threads=600),), replace(_proxied(), listeners=()), Shape("client", "threads")),
        ((), _part(listeners=()), None),
    ],
)
def test_the_shape_of_what_runs_now(rows: tuple[Process, ...], part: Netns, shape: Shape | None) -> None:
    assert shape_of(Facts(_stream(*rows).next(part))) == shape


@pytest.mark.parametrize(("text", "number"), [("10,000", 10000), ("1,0xx", None), ("470/s", None), ("", None)])
def test_only_one_number_is_a_number_of_connections(text: str, number: int | None) -> None:
    assert number_of(Facts(_stream().next(_part()), number=text)) == number


def test_a_server_needs_descriptors_and_no_ports() -> None:
    walk = _begin("10000", _stream())
    assert set(_plan(walk)) == {"nofile@1044"}
    assert _plan(walk)["nofile@1044"] >= 700 + 10000


def test_a_proxy_needs_twice_the_descriptors_and_its_ports() -> None:
    walk = _begin("40000", _stream(), _proxied())
    assert _plan(walk) == {"nofile@1044": 89088, "net.ipv4.ip_local_port_range": 65535}
    assert _begin("20000", _stream(), _proxied()).wanted[0].key == "nofile@1044"


def test_more_than_all_ports_need_more_addresses() -> None:
    walk = _begin("200000", _stream(), replace(_proxied(), listeners=()))
    assert any("4 pairs" in text for text in walk.advice)


def test_a_limit_above_nr_open_raises_that_first() -> None:
    plan = _plan(_begin("2000000", _stream(available_memory=64 << 30)))
    assert list(plan)[:2] == ["fs.nr_open", "nofile@1044"]
    assert plan["fs.nr_open"] == plan["nofile@1044"]


def test_threads_need_maps_and_ids() -> None:
    plan = _plan(_in_shape(SHAPES[1], "40000", _stream()))
    assert plan["vm.max_map_count"] > 2 * 40000
    assert plan["kernel.pid_max"] > 40000


def test_the_limit_of_the_user_counts_unless_the_process_is_exempt() -> None:
    bound = _in_shape(SHAPES[1], "60000", _stream(_server(exempt=False, nproc=48000)))
    assert "nproc@1044" in _plan(bound)
    assert "nproc@1044" not in _plan(_in_shape(SHAPES[1], "60000", _stream()))


def test_tracked_connections_need_entries() -> None:
    tracked = _part(conntrack=Conntrack(10, 8192, 8192, {}))
    assert "net.netfilter.nf_conntrack_max" in _plan(_begin("10000", _stream(), tracked))
    unused = _part(conntrack=Conntrack(0, 8192, 8192, {}))
    assert "net.netfilter.nf_conntrack_max" not in _plan(_begin("10000", _stream(), unused))


def test_without_the_memory_nothing_is_raised() -> None:
    walk = _begin("1000000", _stream(available_memory=1 << 30))
    assert walk.outcome == "do-not-tune"
    assert walk.wanted == ()


def test_cgroups_are_raised_in_words() -> None:
    small = cgroups(0.0, memory=MemoryCgroup("/web", 1 << 20, 8 << 20, 0, 0, 0, "nginx[1044]", 1))
    walk = _begin("10000", _stream(cgroups=small))
    assert walk.outcome == "do-not-tune"
    assert any("memory.max of /web" in text for text in walk.advice)
    tasks = cgroups(0.0, PidsCgroup("/web", 20, 64, 0, "nginx[1044]", 1))
    walk = _in_shape(SHAPES[1], "10000", _stream(cgroups=tasks))
    assert any("pids.max of /web" in text for text in walk.advice)


def test_a_program_that_does_not_run_yet_gets_its_limit_in_words() -> None:
    walk = _begin("10000", _stream(process(name="shell")), _part(listeners=()))
    assert walk.outcome == "not-here"
    assert any("LimitNOFILE" in text for text in walk.advice)


def test_a_host_without_room_in_words_only() -> None:
    short = _part(listeners=(listener(owner=NGINX, backlog=128),))
    assert _begin("1000", _stream(), short).outcome == "do-not-tune"


def _changed(*after: Stream | None) -> list[Walk]:
    """Return walks on which the change is made, and then these samples come; None: it is refused."""
    walks = []
    for later in after:
        stream = _stream()
        walk = _begin("10000", stream)
        walk.changed(transaction("refused" if later is None else "holding"))
        while walk.suggested or (walk.check and later):
            if walk.suggested:
                walk.take(walk.suggested.to)
            elif later:
                stream.processes, stream.changes = later.processes, later.changes
                walk.add(stream.next(_part(), 3))
        walks.append(walk)
    return walks


def test_every_branch_is_taken() -> None:
    raised = _stream(_server(soft=20000, hard=20000))
    gone = _stream(process(7, name="shell"))
    walks = _changed(None, _stream(), raised, gone)
    assert [walk.outcome for walk in walks] == ["run-commands", "did-not-help", "verified", "cannot-be-known"]
    walks.append(_begin("10000", _stream(process(fds=1024, soft=1024))))
    walks += [_begin("1000000", _stream(available_memory=1 << 30)), _begin("", _stream())]
    for shape in SHAPES:
        parts = {"server": _part(), "proxy": _proxied(), "client": replace(_proxied(), listeners=())}
        threads = 600 if shape.model == "threads" else 1
        for number in ("", "100", "10000"):
            walks.append(_begin(number, _stream(_server(threads=threads)), parts[shape.role]))
    assert branches(GUIDE) == taken(*walks) & branches(GUIDE)
