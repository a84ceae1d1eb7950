"""Chapter 02."""

ALTERNATIVES: dict = {}
