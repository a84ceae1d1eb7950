"""Chapter 03: the sum that nobody can compute and nobody needs."""

__all__: list[str] = []
