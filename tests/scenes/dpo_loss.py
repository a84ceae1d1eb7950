"""Chapter 04."""

import torch

HISTORY = torch.tensor([[0.5, 0.4, 0.1], [0.3, 0.3, 0.4], [0.1, 0.0, 0.9]])
NAMES = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")


def four(*numbers: float, beta: float = 0.1) -> dict:
    return {**dict(zip(NAMES, numbers, strict=True)), "beta": beta}


STILL = {"displacement": [{"history": HISTORY}]}
SCENES = {
    "gap_curves": (
        (),
        [
            {"gap": gap, "beta": beta}
            for gap, beta in ((-10.0, 0.5), (5.0, 0.1), (40.0, 0.02))
        ],
    ),
    "four_numbers": (
        (),
        [four(-30, 0, 0, -30), four(-1, -3, -2, -2), four(0, -30, -30, 0, beta=1.0)],
    ),
    "sick_runs": (
        (),
        [{"bug": name} for name in ("swapped_pair", "reference_follows")]
        + [{"bug": name} for name in ("log_of_sigmoid", "sigmoid_plus_epsilon")],
    ),
    "counted_tokens": (
        (),
        [{"bug": name} for name in ("no_shift", "softmax_over_time")]
        + [{"bug": name} for name in ("averaged", "end_left_out")],
    ),
}
WORDS = {  # by hand: log(1 + e^-0.2) = 0.5981, σ(-0.2) = 0.4502; log(1 + e) = 1.313
    "gap_curves": ({"gap": -10.0, "beta": 0.1}, "costs 1.313 nats"),
    "four_numbers": (four(-1, -3, -2, -2), "loss is 0.5981; a nat more for the chosen"),
    "sick_runs": ({"bug": "sigmoid_plus_epsilon"}, "it says 18.42 (sound: 2500)"),
    "counted_tokens": ({"bug": "prompt_counted"}, "positions 1, 2, 3, 4, 5; the sound"),
}
