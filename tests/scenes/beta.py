"""Chapter 05."""

from course_lib.tabular import train_tabular
from course_lib.worlds import five_responses

BETAS = (0.05, 1.0)
RUNS = {
    name: train_tabular(
        five_responses(), BETAS, optimiser=name, lr=rate, steps=(1, 10, 100)
    )
    for name, rate in (("SGD", 3.0), ("Adam", 0.05))
}

STILL = {"paths": [{"runs": RUNS, "betas": BETAS}]}
SCENES = {
    "pair_slopes": ((), [{"gap": x} for x in (-10.0, 0.0, 3.0, 30.0)]),
    "slope_against_beta": ((), [{"gap": x} for x in (-10.0, 0.0, 8.0, 30.0)]),
    "push_and_rest": ((), [{"beta": x} for x in (0.02, 0.1, 1.0)]),
    "destination": (
        (BETAS, (1, 20, 200)),
        [
            {"beta": beta, "optimiser": name, "step": step}
            for beta, name, step in (
                (0.05, "SGD", 1),
                (1.0, "SGD", 20),
                (0.05, "SGD", 200),
                (1.0, "Adam", 200),
            )
        ],
    ),
    "training_log": (
        (),
        [
            {"beta": beta, "lr": lr, "optimiser": name, "steps": steps, "seed": seed}
            for beta, lr, name, steps, seed in (
                (0.01, 0.01, "SGD", 60, 0),
                (1.0, 30.0, "SGD", 600, 3),
                (0.5, 0.05, "Adam", 600, 3),
                (5.0, 30.0, "Adam", 1000, 19),
            )
        ],
    ),
    "kl_budget": ((), [{"kl": x} for x in (0.01, 0.5, 1.35)]),
    "smoothed_loss": ((), [{"rate": x} for x in (0.001, 0.1, 0.5)]),
}
WORDS = {  # what the sentences say, computed by hand or in the facts of the world
    "pair_slopes": ({"gap": 3.0}, "0.0049, 0.0426, 0.0912, 0.0474 for β"),
    "slope_against_beta": ({"gap": 10.0}, "β = 0.128, gives a push of 0.0278"),
    "push_and_rest": ({"beta": 0.1}, "begins at 0.030 and comes to rest at h = 13.86"),
    "destination": (
        {"beta": 1.0, "optimiser": "SGD", "step": 200},
        "KL 0.4691 of 0.4691 nats at the destination; 1 of the 1 other β",
    ),
    "training_log": (
        {"beta": 0.5, "lr": 1.0, "optimiser": "SGD", "steps": 60, "seed": 0},
        "60 steps of SGD, lr 1, β = 0.5: loss 0.693 to",
    ),
    "kl_budget": ({"kl": 0.8935}, "asks for β = 0.500"),
    "smoothed_loss": ({"rate": 0.1}, "gap of 21.97 nats, where the loss is 0.3251"),
}
