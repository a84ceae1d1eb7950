"""Chapter 02: the best policy that a reward and a leash allow."""

EXERCISES = ()
