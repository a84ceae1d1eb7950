"""Chapter 03: the sum that nobody can compute and nobody needs."""

EXERCISES = ()
