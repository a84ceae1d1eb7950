"""Chapter 05."""

STILL: dict = {}
SCENES: dict = {}
WORDS: dict = {}
