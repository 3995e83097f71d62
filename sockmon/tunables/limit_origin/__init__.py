"""The words for what set a limit of a process or of a cgroup, and for what makes a new one last; and the unit or
container that the path of a cgroup names. Pure. Tests: tests.kernel.limit_origin."""
