"""What a reboot does to a value: which line of sysctl.d wins, what else sets the key, and our own drop-in.

winning_line.py decides which line wins, forecast.py puts it into words, dropin.py writes the file of sockmon.
May import `limit_origin`, `kernel` and `model`.
Tests: tests/tuning, test_winning_line, test_forecast, test_dropin."""
