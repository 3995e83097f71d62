"""Columns of /proc/net/stat/nf_conntrack that are no proof of a full table.

Source: net/netfilter/nf_conntrack_core.c, nf_conntrack_standalone.c (Linux 6.12)."""

from sockmon.explain.symptoms.symptom import Cause, Symptom

CONNTRACK = (
    Symptom(
        name="conntrack.invalid",
        kind="counter",
        related=("conntrack.drop",),
        other_names=("invalid",),
        description="A packet belonged to no flow, or did not fit the state of its flow. Connection tracking"
        " lets it pass, without address translation; only a firewall rule for `ct state invalid` drops it.",
        causes=(
            Cause(
                None,
                "late packets of flows that have ended or timed out, such as an RST after close(): common, and"
                " harmless unless addresses are translated; then the receiver gets a packet that it answers with"
                " an RST",
                "packets of ended flows",
            ),
            Cause(
                None,
                "packets outside of the TCP window, because only one direction passes this host (asymmetric"
                " routes): net.netfilter.nf_conntrack_tcp_be_liberal = 1",
                "one direction only",
            ),
        ),
    ),
    Symptom(
        name="conntrack.chainlength",
        kind="counter",
        related=("conntrack.insert_failed",),
        other_names=("chainlength", "chaintoolong"),
        description="A new flow was dropped because its chain in the hash table had more than 50 to 80 entries;"
        " insert_failed moves with it, drop does not (since Linux 5.15).",
        causes=(
            Cause(
                "conntrack-buckets",
                "connections are many times net.netfilter.nf_conntrack_buckets, in all namespaces together:"
                " nf_conntrack_max was raised alone. Raise the buckets to a quarter of it or more",
            ),
        ),
    ),
    Symptom(
        name="conntrack.found",
        kind="counter",
        other_names=("found",),
        description="Address translation tried an address and port that another flow has already, and tried the"
        " next.",
        causes=(
            Cause("snat-ports", "it moves by many for each new flow: most translated ports are in use"),
            Cause(None, "it moves by few: nothing is lost", "normal collisions"),
        ),
    ),
    Symptom(
        name="conntrack.search_restart",
        kind="counter",
        other_names=("search_restart",),
        description="A lookup started again, because an entry moved to another chain meanwhile.",
        causes=(
            Cause(None, "many flows begin and end a second, or the table was resized: nothing is lost", "churn"),
        ),
    ),
    Symptom(
        name="conntrack.icmp_error",
        kind="counter",
        other_names=("icmp_error",),
        description="An ICMP error was malformed, or belonged to no flow.",
        causes=(
            Cause(
                None,
                "ICMP errors about packets that this host did not send: a scan, or asymmetric routes",
                "ICMP errors of other flows",
            ),
        ),
    ),
    Symptom(
        name="conntrack.insert",
        kind="counter",
        other_names=(
            *("conntrack.new", "conntrack.ignore", "conntrack.delete", "conntrack.expect_new"),
            *(
                "conntrack.expect_create",
                "conntrack.expect_delete",
                "expect_new",
                "expect_create",
                "expect_delete",
            ),
        ),
        description="insert counts flows that a program added through netlink; expect_* count expected"
        " connections, such as the data connection of FTP. new, ignore and delete are always 0 on current"
        " kernels.",
        causes=(Cause(None, "none of them proves a limit", "no limit"),),
    ),
)
