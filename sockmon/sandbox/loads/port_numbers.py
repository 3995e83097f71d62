"""Ports of the listeners: fixed, and below every ephemeral range, so that `ss` output is easy to read."""

WEB, STUCK, TIME_WAIT, FORGETFUL, FIN_WAIT, HALF_OPEN, IPV6, IPV4_MAPPED, CHURN, SINK, DATABASE = (
    8080, 8081, 8090, 8082, 8083, 8084, 8086, 8087, 8088, 9000, 5432,
)  # fmt: skip
API, WORKERS = 8085, 8091
