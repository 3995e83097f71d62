"""`sockmon fleet`: many hosts in one report, ranked by their nearest limit."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import click

from sockmon.cli import console, usage

if TYPE_CHECKING:
    from sockmon.fleet.hosts import Fleet, FleetHost
    from sockmon.fleet.prometheus import Server


@click.command(
    short_help="Rank many hosts by their nearest limit.",
    epilog=usage.exit_codes(
        "0 ok", "1 warning", "2 critical or hit", "3 if nothing is known of a host, or of all", fault=False
    ),
)
@click.argument("hosts", nargs=-1, metavar="[ssh://[USER@]HOST[:PORT] ...]")
@click.option("--prometheus", metavar="URL", help="Ask this server, which scrapes `sockmon export` of each host.")
@click.option(
    "--match",
    "matchers",
    multiple=True,
    metavar='LABEL="VALUE"',
    help="Only hosts with this label: =, !=, =~, !~.",
)
@click.option("--auth-file", metavar="FILE", help="A token, or USER:PASSWORD, on the first line.")
@click.option("--ca-file", metavar="FILE", help="Certificates that the server's certificate is checked with.")
@click.option("--tenant", metavar="NAME", help="The tenant of Mimir or Cortex (X-Scope-OrgID).")
@click.option(
    "--push",
    is_flag=True,
    help="Send what samples a HOST to it, which needs python3 alone; nothing of it stays there. With --prometheus:"
    " to a host that Enter opens.",
)
@click.option(
    "--ssh",
    "template",
    metavar="TEMPLATE",
    help="The address of a host that Enter opens, filled with its labels (default 'ssh://{host}', the instance"
    " without its port).",
)
@click.option("--theme", metavar="NAME", help="Use this theme on the screen.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@click.option("--text", is_flag=True, help="Print one report, also on a terminal.")
def fleet(
    hosts: tuple[str, ...],
    prometheus: str | None,
    matchers: tuple[str, ...],
    auth_file: str | None,
    ca_file: str | None,
    tenant: str | None,
    push: bool,
    template: str | None,
    theme: str | None,
    json_: bool,
    text: bool,
) -> None:
    """Show the hosts of a fleet, the one that reaches a limit first at the top: on a terminal as a screen, from
    which Enter opens a host, otherwise as one report.

    With --prometheus the hosts are those that it scrapes; otherwise sockmon runs on each HOST over ssh, or what is
    sent there with --push."""
    from sockmon import privileges
    from sockmon.document import json_text
    from sockmon.fleet.over_ssh import over_ssh
    from sockmon.fleet.prometheus import server
    from sockmon.fleet.reading import from_prometheus

    if bool(hosts) == bool(prometheus):
        raise click.UsageError("name hosts (ssh://HOST ...), or a server (--prometheus URL)")
    if not prometheus and (matchers or auth_file or ca_file or tenant):
        raise click.UsageError("--match, --auth-file, --ca-file and --tenant need --prometheus")
    on_screen = not (json_ or text) and console.has_screen()
    if push and not (hosts or on_screen):
        raise click.UsageError("--push needs hosts (ssh://HOST ...), or the screen, from which Enter opens one")
    if not prometheus and template:
        raise click.UsageError("--ssh needs --prometheus: without it the hosts have their addresses")
    if json_ and text:
        raise click.UsageError("--json cannot be combined with --text")
    asked = server(prometheus, auth_file, ca_file, tenant) if prometheus else None
    if hosts:
        privileges.become_invoker()
    if on_screen:
        if asked is None:
            _show_streams(hosts, push, theme)
        _show_prometheus(asked, matchers, template, theme, push)
    found = from_prometheus(asked, matchers) if asked else over_ssh(hosts, pushed=push)
    click.echo(json_text(found) if json_ else as_text(found), color=True)
    sys.stdout.flush()
    sys.exit(exit_code(found))


def _show_streams(hosts: tuple[str, ...], pushed: bool, theme: str | None) -> NoReturn:
    """Show the screen on the streams of the hosts, and exit with its code."""
    from sockmon.cli.screen import open_fleet
    from sockmon.fleet.streams import StreamsFeed

    feed = StreamsFeed(hosts, pushed)
    open_fleet(feed, lambda host: feed.specs[host.name], theme, pushed)


def _show_prometheus(
    server: Server, matchers: tuple[str, ...], template: str | None, theme: str | None, pushed: bool
) -> NoReturn:
    """Show the screen on the answers of a Prometheus, and exit with its code."""
    from sockmon.cli.screen import open_fleet
    from sockmon.fleet.address import DEFAULT_TEMPLATE, address_of, require_template
    from sockmon.fleet.feed import PollingFeed
    from sockmon.fleet.host_limits import limits_of_host
    from sockmon.fleet.reading import from_prometheus, selector
    from sockmon.fleet.trends import Trends

    filled = require_template(template or DEFAULT_TEMPLATE)
    selected = selector(matchers)
    title = f"{server.name}  {selected}".rstrip()
    feed = PollingFeed(
        title,
        partial(from_prometheus, server, matchers, Trends()),
        lambda instance: limits_of_host(server, instance, selected),
    )
    open_fleet(feed, lambda host: address_of(host, filled), theme, pushed)


def exit_code(fleet: Fleet) -> int:
    """Return that of `check` for the worst host; 3 also if nothing is known of one, and no other has an alarm."""
    from sockmon.cli.check import EXIT_CODES

    code = EXIT_CODES[fleet.verdict]
    return usage.UNKNOWN if code == usage.OK and any(host.severity == "unknown" for host in fleet.hosts) else code


def as_text(fleet: Fleet) -> str:
    """Return a line for each host."""
    if not fleet.hosts:
        return f"{fleet.source}: no host has metrics of sockmon: is `sockmon export` scraped? does --match fit?"
    room = min(max(len(host.name) for host in fleet.hosts), 40)
    return "\n".join([_head(fleet), *(_line(host, room) for host in fleet.hosts)])


def _head(fleet: Fleet) -> str:
    from sockmon.format import plural
    from sockmon.model.severity import ALARMS

    alarmed = sum(host.severity in ALARMS for host in fleet.hosts)
    unknown = sum(host.severity == "unknown" for host in fleet.hosts)
    parts = [plural(len(fleet.hosts), "host"), f"{alarmed} with an alarm"]
    return f"{fleet.source} · {', '.join(parts + ([f'{unknown} unknown'] if unknown else []))}"


def _line(host: FleetHost, room: int) -> str:
    from sockmon import format as fmt
    from sockmon.ceilings import TITLES
    from sockmon.model.severity import glyph_and_label

    label = f"{glyph_and_label(host.severity):<9} {host.name:<{room}}"
    if host.reason or host.nearest is None:
        return f"{label}  {host.reason or 'no limit is in use'}"
    near = host.nearest
    ratio = f"{fmt.ratio(near.ratio):>6}" if near.ratio is not None else "      "
    left = f"  full in {fmt.duration(near.left)}" if near.left else ""
    others = [TITLES.get(each.ceiling, each.ceiling) for each in host.limits[1:] if each.severity != "ok"]
    more = f"  also: {', '.join(others)}" if others else ""
    subject = f"  {near.whole_subject}" if near.subject else ""
    return f"{label}  {ratio}  {TITLES.get(near.ceiling, near.ceiling)}{subject}{left}{more}"
