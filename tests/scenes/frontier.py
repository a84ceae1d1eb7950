"""Chapter 07, the runs."""

import torch

from course_lib.datasets import shipped_runs
from course_lib.training import Log
from course_lib.transformer import load
from course_lib.worlds import world_s

WORLD = world_s().exact(load("S"))
RUNS = shipped_runs("frontier")
FRONTIER = [run for run in RUNS if run.experiment == "frontier"]
STEPS = torch.arange(40.0)
LOG = Log(
    None,
    {
        "loss": (0.7 - STEPS / 100).tolist(),
        "chosen_logratio": (-STEPS / 40).tolist(),
        "rejected_logratio": (-STEPS / 10).tolist(),
        "accuracy": (0.5 + STEPS / 100).tolist(),
    },
    [],
)
FALLING = torch.tensor([0.5, 0.05]), torch.tensor([1.0, 0.125])

STILL = {
    "methods_on_frontier": [{"world": WORLD, "runs": FRONTIER}],
    "limits": [{"runs": [run for run in RUNS if run.experiment == "limits"]}],
    "blind_loss": [{"steps": (1, 10), "runs": {0.5: FALLING, 0.1: FALLING}}],
}
SCENES = {
    "one_method": (
        (WORLD, FRONTIER),
        [
            {"method": method, "beta": beta}
            for method, beta in (
                ("dpo", 0.05),
                ("dpo", 2.0),
                ("simpo", 0.5),
                ("best_of_n", 1.0),
                ("sft", 0.05),
            )
        ],
    ),
    "run_so_far": ((LOG,), [{"step": step} for step in (20, 30, 40)]),
}
WORDS = {  # means of tens by hand; a run of the exact loss comes to the same optimum
    "one_method": (
        {"method": "dpo", "beta": 0.5},
        "reward 0.81 for 0.72 nats, slope β. DPO, knob 0.5, leaves 0.14 of reward",
    ),
    "run_so_far": (
        {"step": 40},
        "By step 40: loss 0.355, accuracy 0.84; log-ratio of chosen responses -0.86",
    ),
}
