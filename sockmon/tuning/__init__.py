"""Changing a limit so that nothing can go wrong: plan, apply, hold, keep or go back by itself."""
