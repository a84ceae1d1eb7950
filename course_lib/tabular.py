"""A policy that is a row of logits, trained by DPO on every pair of a world."""

__all__: list[str] = []
