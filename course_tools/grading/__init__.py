"""`grade`: a class's submissions, fast, fair and unfoolable.

`command` is the verb. What a learner's code can reach is decided in `sandbox`, what it
is worth in `marking`; the two never share a process. Nothing is imported here, for a
sandbox that imports this package must not load an exercise with it.
"""
