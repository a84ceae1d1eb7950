"""Chapter 04: the loss, its gradient, and the bugs that shipped."""

__all__: list[str] = []
