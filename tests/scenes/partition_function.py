"""Chapter 03."""

STILL: dict = {}
SCENES: dict = {}
WORDS: dict = {}
