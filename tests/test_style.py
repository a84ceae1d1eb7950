"""The visual language: its colours on both pages and to all eyes, its words, its files.

The oracles are written here from their definitions: contrast as WCAG 2.2 counts it, the
filter as CSS defines it, ΔE2000 as Sharma, Wu and Dalal (2005) give it, and the
colour-blind eye of Machado, Oliveira and Fernandes (2009).
"""

import base64
import io
import itertools
import re
from html import escape

import matplotlib
import numpy as np
import pytest
import torch
from figure_language import PALETTE, badly_set
from matplotlib import font_manager
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from scenes import WORLD

from course_lib import plots
from course_lib.plots import marks, palette, style
from course_lib.plots.marks import THIN
from course_lib.sliders import LogSlider, slider_plot
from course_lib.transformer import load
from course_lib.worlds import END, WORDS
from course_tools.build import clean

RAMP = {  # β: its violet
    0.02: "#cc70c6",
    0.05: "#a052d1",
    0.1: "#7646ca",
    0.2: "#523ab6",
    0.5: "#2b277e",
    1.0: "#12123c",
}
APART = {  # the least ΔE2000 over all eyes, on light and dark pages
    ("chosen", "rejected"): 45,
    ("policy", "exact"): 19,
    ("policy", "reference"): 17,
    ("faulty", "policy"): 23,
    ("rejected", "policy"): 13,
    ("chosen", "policy"): 11,
}
EYES = {  # linear RGB in, linear RGB out: severity 1.0
    "normal": np.eye(3),
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def linear(seen: np.ndarray) -> np.ndarray:
    return np.where(seen <= 0.04045, seen / 12.92, ((seen + 0.055) / 1.055) ** 2.4)


def gamma(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(
        light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055
    )


def on_light(seen: np.ndarray) -> np.ndarray:
    return seen


def on_dark(seen: np.ndarray) -> np.ndarray:
    """What the page's own rule makes of a colour: invert, then turn the hue by 180°."""
    share = float(
        re.search(r"filter: invert\(([\d.]+)\) hue-rotate\(180", style.RULES)[1]
    )
    luma = np.array([0.213, 0.715, 0.072])
    turned = 2 * luma[None, :].repeat(3, 0) - np.eye(3)  # cos 180° = −1, sin 180° = 0
    return np.clip(turned @ (seen * (1 - 2 * share) + share), 0, 1)


PAGES = {"light": on_light, "dark": on_dark}


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    lights = [0.05 + linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other)]
    return max(lights) / min(lights)


def lab(seen: np.ndarray) -> np.ndarray:
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    x = to_xyz @ linear(seen) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def delta_e(one: np.ndarray, other: np.ndarray) -> float:
    """ΔE2000 of two colours in Lab."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25**7)))
    z1, z2 = complex(stretch * a1, b1), complex(stretch * a2, b2)
    c1, c2 = abs(z1), abs(z2)
    h1, h2 = (np.degrees(np.angle(z)) % 360 for z in (z1, z2))
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    chroma, light = (c1 + c2) / 2, (l1 + l2) / 2
    cosines = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    t = 1 + sum(w * np.cos(np.radians(k * hue + at)) for w, k, at in cosines)
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    parts = np.array(
        [l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))]
    )
    d_l, d_c, d_h = parts / [s_l, 1 + 0.045 * chroma, 1 + 0.015 * chroma * t]
    around = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    rotated = -2 * np.sqrt(chroma**7 / (chroma**7 + 25**7)) * np.sin(np.radians(around))
    return float(np.sqrt(d_l**2 + d_c**2 + d_h**2 + rotated * d_c * d_h))


def least(one: str, other: str) -> float:
    """How far two colours are apart where they are nearest: to any eye, on any page."""
    found = []
    for page, eye in itertools.product(PAGES.values(), EYES.values()):
        a, b = (gamma(eye @ linear(page(rgb(color)))) for color in (one, other))
        found.append(delta_e(lab(a), lab(b)))
    return min(found)


@pytest.mark.parametrize(
    ("one", "other", "apart"),  # pairs 1, 7, 17 and 25 of Sharma et al., table 1
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_the_oracle_of_distance_gives_the_published_numbers(one, other, apart):
    assert delta_e(one, other) == pytest.approx(apart, abs=5e-5)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("color", "needed"),
    [(color, 3) for color in (*PALETTE.values(), *RAMP.values())]
    + [(words, 4.5) for words in (palette.INK, palette.QUIET)],
)
def test_every_colour_stands_out_from_the_page_and_words_can_be_read(
    color, needed, page
):
    assert contrast(PAGES[page](rgb(color)), PAGES[page](np.ones(3))) >= needed


def test_a_larger_beta_has_a_darker_violet_and_ends_have_the_colour_of_the_ends():
    betas = np.geomspace(0.02, 1, 60)
    lights = [lab(rgb(palette.beta_color(beta)))[0] for beta in betas]
    assert all(a > b for a, b in itertools.pairwise(lights))
    assert {beta: palette.beta_color(beta) for beta in RAMP} == RAMP
    assert palette.beta_color(0.001) == RAMP[0.02]
    assert palette.beta_color(5) == RAMP[1.0]
    with pytest.raises(ValueError, match="beta must be above 0, got 0"):
        palette.beta_color(0)


@pytest.mark.parametrize("pair", APART)
def test_what_meets_in_a_figure_is_far_apart_to_every_eye(pair):
    one, other = (PALETTE[name] for name in pair)
    assert least(one, other) >= APART[pair] - 0.5


def test_no_meaning_hangs_on_a_colour_alone():
    assert set(palette.MARK) == set(PALETTE)
    for name, mark in palette.MARK.items():
        assert mark["color"] == PALETTE[name]
    near = [
        pair
        for pair in itertools.combinations(PALETTE, 2)
        if least(*(PALETTE[name] for name in pair)) < 11
    ]
    assert ("chosen", "faulty") in near
    for pair in itertools.combinations(PALETTE, 2):
        lines, points = (
            {str([palette.MARK[name].get(key) for key in keys]) for name in pair}
            for keys in (("ls", "lw"), ("marker", "mfc"))
        )
        # the two that share line and point do so because their colours never meet
        assert len(lines) == len(points) == 2 or set(pair) == {"chosen", "policy"}


def test_numbers_have_a_true_minus_and_narrow_spaces():
    assert marks.number(-0.0577) == "−0.06"
    assert marks.number(-1234567, ",d") == f"−1{THIN}234{THIN}567"
    assert marks.percent(0.5732) == f"57{THIN}%"
    assert marks.percent(0.0049) == f"< 1{THIN}%"
    assert marks.percent(0.0051) == f"1{THIN}%"
    assert marks.percent(0.1234, 1) == f"12.3{THIN}%"
    assert marks.percent(0.0004, 1) == f"< 0.1{THIN}%"


def test_names_are_kept_apart_and_moved_as_little_as_that_needs():
    """Against a search over a fine grid."""
    heights, gap = (0.1, 0.2, 0.25), 0.2
    grid = np.arange(-0.5, 1, 0.0125)
    a, b, c = np.meshgrid(grid, grid, grid, indexing="ij")
    fits = (b - a >= gap - 1e-9) & (c - b >= gap - 1e-9)
    moved = sum((x - h) ** 2 for x, h in zip((a, b, c), heights, strict=True))
    best = np.unravel_index(np.where(fits, moved, np.inf).argmin(), moved.shape)
    found = marks.spread(heights, gap)
    assert found == pytest.approx([grid[i] for i in best], abs=0.0125)
    assert np.diff(found) == pytest.approx([gap, gap])


def drawn() -> tuple[Figure, matplotlib.axes.Axes]:
    with matplotlib.rc_context(palette.LANGUAGE):
        figure = Figure(figsize=(6.5, 3.2), dpi=100)
        style.headline(figure, "A finding", "what is drawn\nin two lines")
        axis = figure.subplots()
        axis.set(xlim=(0, 10), ylim=(1, 1000), yscale="log", title="Loss, nats")
    return figure, axis


def test_a_headline_has_room_above_the_panels_at_the_left_edge():
    figure, axis = drawn()
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in (*figure.texts, axis._left_title)]
    says, shows, title = boxes
    assert says.x0 == pytest.approx(shows.x0, abs=2)
    assert says.x0 < 6
    assert says.y1 <= figure.bbox.y1
    assert says.y0 > shows.y1 > shows.y0 > title.y1


def test_names_stand_at_the_ends_of_lines_on_a_logarithmic_axis():
    _, axis = drawn()
    ends = [(10, 10.0, "b", palette.CHOSEN), (10, 9.0, "a", palette.REJECTED)]
    marks.names(axis, ends, gap=0.3)
    low, high = axis.texts
    assert (low.get_text(), high.get_text()) == ("a", "b")
    assert (low.get_color(), high.get_color()) == (palette.REJECTED, palette.CHOSEN)
    assert np.log10(high.xy[1] / low.xy[1]) == pytest.approx(0.3)
    assert high.xy[1] * low.xy[1] == pytest.approx(90)  # the middle has not moved


def test_an_arrow_shorter_than_its_head_is_words_only():
    figure, axis = drawn()
    figure.draw_without_rendering()
    marks.arrow(axis, (2, 10), (2.01, 10), "+0.01", palette.POLICY)
    (words,) = axis.texts
    assert (words.get_text(), words.get_color()) == ("+0.01", palette.POLICY)
    marks.arrow(axis, (2, 10), (6, 10), "+4.00", palette.POLICY)
    assert [bool(text.arrow_patch) for text in axis.texts] == [False, True, False]


def test_dots_have_a_white_ring_and_hollow_ones_a_ring_of_their_colour():
    _, axis = drawn()
    marks.dot(axis, 1, 10, "chosen")
    marks.dot(axis, 1, 10, "rejected")
    full, hollow = axis.lines
    assert (full.get_mfc(), full.get_mec()) == (palette.CHOSEN, "white")
    assert (hollow.get_mfc(), hollow.get_mec()) == ("white", palette.REJECTED)


def test_the_font_is_small_free_and_has_the_letters_and_equal_digits():
    folder = style.Path(style.__file__).with_name("fonts")
    faces = sorted(folder.glob("*.otf"))
    assert len(faces) == 2
    assert sum(face.stat().st_size for face in faces) <= 100_000
    licence = (folder / "LICENSE.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence
    assert "The Inter Project Authors" in licence
    wanted = "".join(map(chr, range(33, 127))) + "βπσθφεγτλΔ−×≤≥≈√∞Σ∑→←“”’…·●○□" + THIN
    for face in faces:
        font = font_manager.get_font(face)
        assert font.family_name == "Course Sans"
        assert all(map(font.get_char_index, map(ord, wanted)))
        widths = {font.load_char(ord(d)).linearHoriAdvance for d in "0123456789"}
        assert len(widths) == 1
    with matplotlib.rc_context(palette.LANGUAGE):
        family = font_manager.FontProperties(weight="bold")
    assert font_manager.findfont(family).endswith("CourseSans-Bold.otf")


@pytest.mark.slow
def test_a_still_is_sharp_small_and_true_to_its_rare_colours():
    figure, axis = drawn()
    axis.plot([0, 10], [1, 1000], color=palette.CHOSEN, lw=9)
    for row, color in enumerate(PALETTE.values()):
        axis.plot([1 + row], [500], "o", color=color, ms=3)
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=200)
    stored = plots.Picture(figure, "words").png()
    one, other = (
        np.asarray(Image.open(io.BytesIO(b)).convert("RGB")).astype(int)
        for b in (full.getvalue(), stored)
    )
    assert other.shape == (640, 1300, 3)
    assert len(stored) < 0.6 * len(full.getvalue())
    assert np.abs(one - other).max() <= 16
    colors = {tuple(pixel) for pixel in other.reshape(-1, 3)}
    assert len(colors) <= 128
    near = [
        min(np.abs(rgb(c) * 255 - p).max() for p in colors) for c in PALETTE.values()
    ]
    assert max(near) <= 8


def test_a_stored_still_keeps_its_width_on_the_page():
    figure, _ = drawn()
    data, look = plots.Picture(figure, "words")._repr_mimebundle_()
    output = new_output("display_data", data, metadata={**look, "isolated": True})
    stored = clean(new_notebook(cells=[new_code_cell(outputs=[output])]))
    kept, below = stored.cells[0].outputs
    assert kept.metadata == {"image/png": {"width": 650, "alt": "words"}}
    assert below.data == {"text/markdown": "words", "text/plain": ""}
    assert clean(stored) == stored


# ── chapter 00's first figure ─────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def guests():
    """The figure as chapter 00 shows it."""
    beta = LogSlider(0.05, 5, 41, start=5, label="β")
    return slider_plot(*plots.leash(WORLD), drag="beta", beta=beta)


def worth(sentence: list[str]) -> float:
    """The film's reward, by the rules of World S: praise, politeness, 0.15 a word."""
    praise, factor = 0.0, 1.0
    for word in sentence:
        if word in ("good", "bad"):
            praise, factor = praise + (factor if word == "good" else -factor), 1.0
        else:
            factor *= {"not": -0.7, "very": 1.4}.get(word, 1.0)
            factor = max(-2.0, min(2.0, factor))
    praise *= 1.2 if "!" in sentence else 1.0
    return praise + 0.3 * ("thanks" in sentence) - 0.15 * len(sentence)


@pytest.fixture(scope="module")
def sentences() -> list[tuple[str, float, float]]:
    """Every answer, its probability under the reference word by word, its reward."""
    model, film = load("S"), END + 1

    def after(words: tuple[int, ...], so_far: float):
        if len(words) == 3:  # the end is forced
            yield words, so_far
            return
        with torch.no_grad():
            logits = model(torch.tensor([[film, *words]]))[0, -1].double()
        chances = torch.softmax(logits, -1).tolist()
        yield words, so_far * chances[END]
        for word in range(len(WORDS)):
            yield from after((*words, word), so_far * chances[word])

    found = []
    for words, chance in after((), 1.0):
        spoken = [WORDS[word] for word in words]
        found.append((" ".join(spoken), chance, worth(spoken)))
    return found


def shares(sentences, beta: float) -> np.ndarray:
    """Praise, babble, mean reward and KL of π* at β, by a sum over all answers."""
    chances, rewards = np.array([numbers for _, *numbers in sentences]).T
    best = chances * np.exp(rewards / beta)
    best /= best.sum()
    each = rewards > 1e-9, chances < 1e-4, rewards, np.log(best / chances)
    return np.array(each) @ best


@pytest.mark.parametrize(
    ("beta", "words"),
    [
        (5.0, (r"57.% .* 1.% are babble", "−0.06", "0.02 nats")),
        (0.5, (r"98.% .* < 1.% are babble", "0.89", "0.79 nats")),
        (0.1, (r"100.% .* 57.% are babble", "2.25", "9.40 nats")),
        (0.05, (r"100.% .* 100.% are babble", "2.55", "13.00 nats")),
    ],
)
def test_what_the_leash_does_by_a_loop_over_all_answers(sentences, beta, words):
    assert len(sentences) == 585
    praise, babble, earned, spent = shares(sentences, beta)
    scene = plots.leash(WORLD)
    with matplotlib.rc_context(palette.LANGUAGE):
        said = scene.draw(scene.setup(Figure()), beta=beta)
    form = (
        r", (.*) of the answers praise .* and (.*) are babble.* is (\S+) \(.* is (\S+)"
    )
    shares_told = marks.percent(praise), marks.percent(babble)
    numbers_told = marks.number(earned), marks.number(spent)
    assert re.search(form, said).groups() == shares_told + numbers_told
    for part in words:
        assert re.search(part, said)


@pytest.mark.slow
def test_the_headline_is_true_at_every_position(guests, sentences):
    """Praise comes first and babble after it, and neither ever goes back."""
    betas = guests.sliders["beta"].values[::-1]
    praise, babble, earned, spent = np.array([shares(sentences, b) for b in betas]).T
    assert np.all(np.diff(praise) >= -1e-12)
    assert np.all(np.diff(earned) > 0)
    assert np.all(np.diff(spent) > 0)
    assert praise[0] < 0.6
    assert babble[np.argmax(praise > 0.95)] < 0.01  # when almost all praise, few babble
    assert babble[-1] > 0.99
    rising = babble[np.argmax(praise > 0.98) :]
    assert np.all(np.diff(rising) > 0)


@pytest.mark.slow
def test_guests_are_quantiles_and_none_earns_less_on_a_longer_leash(guests, sentences):
    worths = {words or "(nothing)": reward for words, _, reward in sentences}
    before = None
    for beta in guests.sliders["beta"].values[::-1]:
        guests.set(beta=beta)
        said = [text.get_text() for text in guests.figure.axes[0].texts]
        seats = [worths[re.fullmatch("[●○✕] “(.*)”", words)[1]] for words in said]
        assert len(seats) == 12
        assert before is None or all(
            a <= b + 1e-9 for a, b in zip(before, seats, strict=True)
        )
        before = seats
    assert said == ["✕ “good good good”"] * 12


def test_the_leash_s_words_are_its_alt_text_and_it_is_small(guests, monkeypatch):
    monkeypatch.delenv("COURSE_PLAIN_FIGURES", raising=False)
    guests.set(beta=0.5)
    html = guests._repr_mimebundle_()[0]["text/html"]
    told = escape(guests.words)
    assert f'<img alt="{told}"' in html
    assert re.search(rf'<p class="course-words"[^>]*>{re.escape(told)}</p>', html)
    assert len(html) <= 1_000_000
    assert len(base64.b64encode(guests._still)) < 150_000


@pytest.mark.slow
def test_no_word_of_the_leash_is_cut_small_or_over_another(guests):
    for beta in guests.sliders["beta"].values:
        guests.set(beta=beta)
        assert not [*badly_set(guests.figure)]
