"""`sockmon export`: the limits of this host as metrics, and alert rules and a dashboard for them."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

import click

from sockmon import log
from sockmon.cli import console, usage
from sockmon.errors import PREFIX, Misuse

if TYPE_CHECKING:
    from sockmon.export.exporter import Exporter

DEFAULT_INTERVAL = 5.0


@click.group(
    invoke_without_command=True,
    short_help="Publish the limits as metrics for Prometheus.",
    epilog=usage.exit_codes("0 when it is ended", "1 if it cannot listen, or nothing could be read"),
)
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    default="127.0.0.1:9768",
    show_default=True,
    help="Where to answer; :PORT is all addresses, and needs --all-addresses too.",
)
@click.option("--all-addresses", is_flag=True, help="Confirm that --listen is for every address of the host.")
@click.option(
    "--web-config", metavar="FILE", help="TLS and basic authentication, in the format of Prometheus exporters."
)
@click.option(
    "--textfile",
    metavar="FILE",
    help="Write this file, whose name ends in .prom, for node_exporter at each sample; do not listen.",
)
@click.option("--once", is_flag=True, help="With --textfile: write it once, and end.")
@click.option(
    "--top",
    type=click.IntRange(0, 100),
    default=5,
    show_default=True,
    metavar="N",
    help="Subjects of each limit, and namespaces, that have series of their own.",
)
@click.option(
    "--interval", type=usage.Seconds(0.2, 60), metavar="SECONDS", help="Seconds between samples (default 5)."
)
@click.option("--netns", multiple=True, metavar="NAME|PID|PATH|PATTERN", help="Sample these network namespaces.")
@click.pass_context
def export(
    context: click.Context,
    listen: str,
    all_addresses: bool,
    web_config: str | None,
    textfile: str | None,
    once: bool,
    top: int,
    interval: float | None,
    netns: tuple[str, ...],
) -> None:
    """Publish the limits of this host as metrics on http://127.0.0.1:9768/metrics, until it is ended.

    A scrape reads the last sample, never the kernel, and nothing can be changed through it."""
    if context.invoked_subcommand is not None:
        return
    from sockmon.agent.sampler import open_sampler
    from sockmon.export.exporter import Exporter
    from sockmon.observe import configured_levels

    log.write_to_stderr_too("export")
    if once and textfile is None:
        raise click.UsageError("--once needs --textfile")
    levels, refused = configured_levels()
    for missing in refused:
        _say(f"{missing.reader}: {missing.reason}")
    with open_sampler(netns or None, interval or DEFAULT_INTERVAL, complete=once, others=not netns) as kernel:
        exporter = Exporter(kernel, levels, top, refused)
        if textfile is not None:
            _write_textfile(exporter, textfile, once)
        else:
            _serve(exporter, listen, all_addresses, web_config)


def _serve(exporter: Exporter, listen: str, all_addresses: bool, web_config: str | None) -> None:
    from sockmon.export import web
    from sockmon.export.exposition import registry_of, render
    from sockmon.export.web_config import WebConfig, load

    where = web.parse_listen(listen)
    if where.is_everywhere and not all_addresses:
        raise Misuse(
            f"{listen} is every address of this host, and the metrics name its processes and peers",
            "repeat it with --all-addresses, or choose one address; --web-config adds TLS and passwords",
        )
    config = load(web_config) if web_config is not None else WebConfig()
    registry = registry_of(exporter.facts)
    server = web.MetricsServer(where, lambda accept: render(registry, accept), config)
    try:
        exporter.sample(complete=True)
        threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
        _stop_on_signals(exporter)
        address = f"[{where.address}]" if ":" in where.address else where.address or "127.0.0.1"
        scheme = "https" if config.tls else "http"
        _say(f"metrics: {scheme}://{address}:{server.server_port}/metrics")
        exporter.run()
        server.shutdown()
    finally:
        server.server_close()


def _say(message: str) -> None:
    """Print a message if that is possible: a full disk or a journal that has ended do not end an exporter."""
    console.try_print_message(f"{PREFIX}{message}")


def _write_textfile(exporter: Exporter, path: str, once: bool) -> None:
    from sockmon.export import textfile
    from sockmon.export.exposition import registry_of, render

    # node_exporter has process_* of its own: with ours in the file, each scrape of it would be an error.
    registry = registry_of(exporter.facts, own_process=False)
    exporter.sample(complete=True)
    textfile.write(path, render(registry)[0])
    if not once:
        _stop_on_signals(exporter)
        exporter.run(lambda: textfile.write(path, render(registry)[0]))


def _stop_on_signals(exporter: Exporter) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        exporter.stop()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # nohup(1) ignores SIGHUP, and a shell SIGINT of what it runs in the background.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


@export.command(name="rules", epilog=usage.exit_codes("0 printed"))
@click.option("--docs", metavar="URL", help="Where docs/ceilings.md can be read; alerts link to it.")
def print_rules(docs: str | None) -> None:
    """Print alerting and recording rules for Prometheus, with the levels of your config."""
    from sockmon.export import rules
    from sockmon.observe import configured_levels

    if docs and ("{{" in docs or not docs.isprintable()):
        # Prometheus would take it for a template, and refuse the file.
        raise click.UsageError("--docs is not a URL: it has {{, or a character that cannot be printed")
    levels, refused = configured_levels()
    for missing in refused:
        console.print_notice(f"{missing.reader}: {missing.reason}")
    click.echo(rules.as_yaml(rules.rules(levels, docs or "")), nl=False)


@export.command(name="dashboard", epilog=usage.exit_codes("0 printed"))
def print_dashboard() -> None:
    """Print a dashboard for Grafana: import it there, or put it into its provisioning folder."""
    from sockmon.document import json_text
    from sockmon.export.dashboard import dashboard

    click.echo(json_text(dashboard()))
