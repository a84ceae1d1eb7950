"""Chapter 05."""

ALTERNATIVES: dict = {}
