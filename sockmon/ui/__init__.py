"""The only room that knows Textual: it reads a stream and draws it, and never opens the kernel."""

import os

# Textual waits so many milliseconds whether Esc begins a longer key, and reads it when it is imported.
os.environ.setdefault("ESCDELAY", "50")
