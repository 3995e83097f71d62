"""What a host needs to hold N more connections: the shape of a program, and what each limit has left for it.

Pure computations for the guide `before-a-launch`. Tests: tests/guides/test_launch.py compares the numbers with
what the kernel then counts."""
