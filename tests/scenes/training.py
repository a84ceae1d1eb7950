"""Chapter 07."""

STILL = {
    "who_sees_whom": [{}, {"tokens": ("a", "b", "c", "d"), "parts": (0, 0, 1, 2)}],
}
SCENES = {
    "clipped_steps": (
        (),
        [
            {"ratio": ratio, "clip": clip}
            for ratio, clip in ((0.2, 0.1), (1.0, 0.2), (1.5, 0.4), (2.0, 0.1))
        ],
    ),
}
WORDS = {  # by hand: −min(1.5, 1.2) for A = 1, −min(−1.5, −1.2) for A = −1
    "clipped_steps": (
        {"ratio": 1.5, "clip": 0.2},
        "the loss is −1.200 and flat for A = 1, 1.500 and sloped for A = −1",
    ),
}
