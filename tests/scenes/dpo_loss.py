"""Chapter 04."""

STILL: dict = {}
SCENES: dict = {}
WORDS: dict = {}
