"""What a reboot does to a value: all that is written at boot, what the kernel makes of it, and our own drop-in.

winning_line.py has the lines of sysctl.d in the order in which each program writes them, kernel_rules.py what the
kernel accepts for each key, kernel_write.py what it makes of one write, replay.py what all leave. forecast.py puts
that into words, at_boot.py says whether given values would be set, near_misses.py which lines only look so;
dropin.py writes our file.
May import `limit_origin`, `kernel` and `model`.
Tests: tests/tuning, test_winning_line, test_kernel_write, test_replay, test_forecast, test_boot_cases,
test_dropin."""
