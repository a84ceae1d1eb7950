"""`grade`: a class's submissions, fast, fair and hard to fool.

`command` is the verb. What a learner's code can reach is decided in `sandbox`, what it
is worth in `marking`, in a process in which no learner's code runs. Nothing is imported
here, for a sandbox that imports this package must not load an exercise with it.
"""
