"""Where a limit of a process comes from: units, limits.conf, container engines, start scripts, parents.

`origin.find_origin()` answers for a process, `configured.find_configured()` for the whole machine; `text` has the
words, and `unit_name` reads the path of a cgroup: these two are pure.

May import `kernel`, `tunables`, `model`. Tests: tests/limit_origin."""
