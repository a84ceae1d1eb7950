"""Chapter 02: the best policy that a reward and a leash allow."""

__all__: list[str] = []
