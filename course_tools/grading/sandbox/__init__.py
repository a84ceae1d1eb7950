"""Where a learner's code runs: it gets inputs, gives numbers, and sees nothing else."""
