"""The pieces that screens and panes are built from."""
