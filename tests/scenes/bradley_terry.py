"""Chapters 00 and 01."""

import torch

SCORES = torch.tensor([0.0, 1.1, 0.7], dtype=torch.float64)
WINS = torch.tensor([[0.0, 2, 3], [5, 0, 4], [4, 3, 0]])

# every figure that stands still
STILL = {
    "strengths": [
        {"names": ["a", "b", "c"], "scores": SCORES, "errors": SCORES / 3},
        {"names": ["a", "b", "c"], "scores": SCORES, "published": [0.0, 1.0, 0.7]},
    ],
    "wins_predicted": [{"wins": WINS, "scores": SCORES}],
}
# every figure that moves: its arguments, and the ends and a middle of its sliders
SCENES = {
    "choice_curve": ((), [{"difference": x} for x in (-6.0, 0.0, 6.0)]),
    "loss_curve": ((), [{"difference": x} for x in (-6.0, 0.0, 6.0)]),
    "noise_ceiling": ((SCORES,), [{"scale": x} for x in (0.0, 1.0, 5.0)]),
    "rankings": ((), [{"a": x, "b": -x, "c": 0.5} for x in (-3.0, 0.0, 3.0)]),
    "poll": (
        (),
        [
            {"difference": x, "people": n, "town": 1}
            for x, n in ((-3.0, 10), (1.0, 1000), (3.0, 100_000))
        ],
    ),
    "magnitude_losses": ((), [{"magnitude": x} for x in (0.0, 1.5, 3.0)]),
    "uncertain_scores": ((), [{"std": x} for x in (0.0, 2.5, 5.0)]),
}
WORDS = {  # what the sentences say, computed by hand
    "choice_curve": ({"difference": 2.0}, "+2.0 wins 88.1% of the time"),
    "loss_curve": ({"difference": 0.0}, "at 0.693 nats with slope -0.500"),
    "noise_ceiling": ({"scale": 0.0}, "more than 50.0% of"),
    "rankings": ({"a": 1.0, "b": 1.0, "c": 1.0}, "C > B > A 0.167"),
    "poll": ({"difference": 0.0, "people": 100, "town": 1}, "standard errors of 0.050"),
    "magnitude_losses": ({"magnitude": 2.0}, "2.13 with the curve moved right"),
    "uncertain_scores": ({"std": 2.0}, "wins 77.5% of the time"),
}
