"""β at a fixed gap, β at the optimum: its two faces, as functions."""

__all__: list[str] = []
