"""Where a limit of a process comes from: units, limits.conf, container engines, start scripts, parents.

`origin.find_origin()` answers for a process, `configured.find_configured()` for the whole machine; the words are
in tunables/limit_origin. Tests: tests.kernel.limit_origin."""
