"""`sockmon explain`: which topic a text names (`topics.py`), what an error, counter, message, TCP state or common
advice means (`symptoms/`), what a line of a log names (`log_line.py`), what this machine proves about it
(`evidence.py`, `process_evidence.py`), the order of causes (`ranking.py`), the remedy to begin with
(`first_remedy.py`), which limit a number points to (`plateaus/`), and all of it together with this machine's
values (`explanation.py`).

Pure: `cli/explain.py` samples this machine, `cli/port_use.py` reads who has a port. May import `ceilings`,
`tunables` and `tuning.planning`. Tests: tests/test_explain.py, test_explain_ports.py,
test_explain_remedy.py, test_log_lines.py, test_plateaus.py, test_plain_english.py."""
