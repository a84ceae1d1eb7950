"""The bug clinic: code that looks right and is not, and tests that tell."""

__all__: list[str] = []
