"""Chapter 06."""

from course_lib.datasets import shipped_runs

RUNS = shipped_runs("variants")

STILL = {}
SCENES = {
    "target_parabolas": (
        (),
        [
            {"tau": tau, "tokens": tokens}
            for tau, tokens in ((0.1, 1), (0.1, 10), (0.25, 4), (1.0, 1), (1.0, 10))
        ],
    ),
    "kto_curves": (
        (),
        [
            {"z": z, "beta": beta}
            for z, beta in ((0.0, 0.1), (0.0, 2.0), (1.0, 0.5), (4.0, 0.1), (4.0, 2.0))
        ],
    ),
    "loss_shapes": (
        (),
        [
            *(
                {"variant": variant, "beta": beta}
                for variant, beta in (
                    ("dpo", 0.05),
                    ("ipo", 0.05),
                    ("ipo", 2.0),
                    ("hinge", 0.5),
                    ("dpo_nll", 0.5),
                    ("nca", 0.05),
                    ("apo_zero", 0.5),
                    ("apo_down", 2.0),
                    ("orpo", 0.5),
                    ("cpo", 1.0),
                )
            ),
            *(
                {"variant": variant, "beta": 0.5, "epsilon": epsilon}
                for variant in ("cdpo", "robust")
                for epsilon in (0.01, 0.45)
            ),
            *(
                {"variant": "simpo", "beta": 2.0, "gamma": gamma}
                for gamma in (0.0, 2.0)
            ),
        ],
    ),
    "variant_table": (
        (RUNS,),
        [{"field": field} for field in ("distance", "reward", "kl", "rejected")],
    ),
    "decision_guide": (
        (RUNS,),
        [
            {},
            {"ask": "asked again"},
            {"noise": "20 % wrong", "length": "length is liked"},
            {"noise": "? % wrong"},
            {"reference": "no room for it"},
            {"data": "thumbs, single", "reference": "no room for it"},
        ],
    ),
}
WORDS = {
    "variant_table": (  # the least of the means that the runs' lines add up to
        {"field": "distance"},
        "20 % noise: IPO 0.40; 30 % noise: IPO 0.57; long is liked: APO-zero 0.34",
    ),
    "loss_shapes": (  # ln 4 / 0.5; the entropy of a coin of 0.2; 0.5 (0.8 − 0.5)
        {"variant": "cdpo", "beta": 0.5, "epsilon": 0.2},
        "lowest, 0.500, at h = 2.77 nats, and pulled back beyond. At h = 0 it pushes "
        "with 0.150 a nat, DPO with 0.250",
    ),
    "decision_guide": (  # no reference and no pairs: by hand, from what either needs
        {"data": "thumbs, single", "reference": "no room for it"},
        "One other answer is enough: “pairs” or “thumbs, matched” or “right reference”",
    ),
    "target_parabolas": (  # 1/(2 · 0.25) nats, and four times as much
        {"tau": 0.25, "tokens": 4},
        "lowest at a gap of 2 nats, and the loss from averages, for answers of length "
        "4, at 8 nats",
    ),
    "kto_curves": (  # σ(4) = 1/(1 + e^−4) = 0.98201, ½ σ(4) (1 − σ(4)), ½ σ(4)
        {"z": 1.0, "beta": 0.5},
        "loses 0.982 and is pushed up by 0.0088 a nat; by −log σ it would be 0.4910",
    ),
}
