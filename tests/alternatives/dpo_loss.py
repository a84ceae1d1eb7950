"""Chapter 04."""

ALTERNATIVES: dict = {}
