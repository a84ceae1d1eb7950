"""Chapter 07, real text."""

from course_lib.reviews import shipped_outcomes

STILL = {"reviews_outcomes": [{"outcomes": shipped_outcomes()}]}
SCENES = {}
WORDS = {}
