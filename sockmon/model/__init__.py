"""What is known: frozen types with their units, no I/O."""
