"""Chapter 03."""

ALTERNATIVES: dict = {}
