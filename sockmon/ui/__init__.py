"""The only room that knows Textual: it reads a stream and draws it, and never opens the kernel."""
