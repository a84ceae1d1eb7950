"""Chapter 05: both faces of β."""

__all__: list[str] = []
