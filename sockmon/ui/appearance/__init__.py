"""Themes and styles, and the ASCII replacement for terminals without block characters.

It may import `model`, `errors`, `text`, `toml` and `settings`, and nothing else of `ui`. Tests:
`tests/ui/test_themes.py`.
"""
