"""Chapter 06."""

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
}
WORDS = {
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
