"""Chapter 05: both faces of β."""

EXERCISES = ()
