"""Chapter 02."""

STILL: dict = {}
SCENES: dict = {}
WORDS: dict = {}
