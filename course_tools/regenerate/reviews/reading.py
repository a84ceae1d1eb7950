"""A language model and a judge of tone, from sentences of film reviews."""

import collections
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import torch

from course_lib.batches import Texts, collate, pairs, response_logps
from course_lib.reviews import OPENING
from course_lib.training import Config, train
from course_lib.transformer import Shape, Transformer, save
from course_tools.regenerate.reviews import corpus
from course_tools.regenerate.reviews.corpus import Review, Sentence

__all__ = ["learn", "perplexity", "texts_of"]

WORDS = 3_500  # of the vocabulary, at most
EPOCHS, BATCH = 6, 128
SHARPNESS = 0.8  # the temperature that the model is shipped at
PENALTY = 1e-5  # of the judge's weights
OFTEN = 3  # an opening is one if so many sentences begin with it


def learn(
    reviews: Sequence[Review],
    folder: Path,
    *,
    shape: dict[str, int] | None = None,
    epochs: float = EPOCHS,
    batch: int = BATCH,
) -> str:
    """Read reviews: the words, the judge and the language model, written to `folder`.

    shape: sizes of the transformer; batch: sentences a step
    returns: what was written and how good it is on reviews that were held out
    """
    sentences = corpus.cut(reviews)
    without = corpus.tell_names(sentences) | corpus.BLOCKED
    vocabulary = corpus.choose_words(sentences, WORDS, without)
    known = {word: number for number, word in enumerate(vocabulary)}
    whole = corpus.usable(sentences, known)
    facts = {"words": vocabulary}
    facts |= _judge(sentences, [review.liked for review in reviews], known)
    facts |= _openings([*whole])

    end, sides = len(vocabulary), ([], [])
    for ids, review in whole.items():
        sides[corpus.held_out(review)].append(ids)
    texts, unseen = (texts_of(ids, end) for ids in sides)
    sizes = shape or {"width": 96, "layers": 3, "hidden": 256}
    model = _model(texts, end, sizes, epochs, batch)
    facts["perplexity"] = round(perplexity(model, unseen), 2)
    with torch.no_grad():  # logits / SHARPNESS, once and for all
        model.norm.weight /= SHARPNESS
    facts["perplexity_shipped"] = round(perplexity(model, unseen), 2)
    facts["sentences"] = len(texts)
    save(model.half(), folder / "reviews.pt")
    written = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    (folder / "reviews.json").write_text(written + "\n", encoding="utf-8")
    told = {name: value for name, value in facts.items() if isinstance(value, float)}
    return f"reviews.pt, reviews.json: {told}"


def _model(
    texts: Texts, end: int, sizes: dict[str, int], epochs: float, batch: int
) -> Transformer:
    """A transformer that has read the sentences."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = Transformer(Shape(vocab=end + 2, outputs=end + 1, **sizes))
    config = Config(
        method="sft",
        steps=int(epochs * len(texts) / batch),
        batch_size=batch,
        lr=3e-3,
        warmup=100,
        clip=100.0,
        weight_decay=0.1,
    )
    return train(model, texts, config).model


def texts_of(sentences: Sequence[tuple[int, ...]], end: int) -> Texts:
    """Sentences as responses that end, all to the prompt that begins one."""
    return pairs([[end + 1]] * len(sentences), [(*ids, end) for ids in sentences])


@torch.no_grad()
def perplexity(model: Transformer, texts: Texts) -> float:
    """e to the mean −log-probability of a token, the end included."""
    pieces = torch.arange(len(texts)).split(512)
    logps = [response_logps(model, collate(texts.take(rows))).sum() for rows in pieces]
    return math.exp(-sum(logps).item() / texts.lengths.sum().item())


def _judge(
    sentences: Sequence[Sentence], liked: Sequence[bool], known: dict[str, int]
) -> dict:
    """What each word says of whether a review likes its film; and how often it errs.

    All sentences speak, those with unknown words too
    """
    sides = ([], [])
    for tokens, review, _ in sentences:
        ids = [known[t] for t in map(str.lower, tokens) if t in known]
        row = torch.tensor(ids, dtype=torch.long), liked[review]
        sides[corpus.held_out(review)].append(row)
    (words, answers), (unseen, truth) = (zip(*side, strict=True) for side in sides)
    weights, bias = corpus.fit_tone(
        words, torch.tensor(answers), len(known), penalty=PENALTY
    )
    right = corpus.tone_accuracy(unseen, torch.tensor(truth), weights, bias)
    return {
        "weights": [round(weight, 3) for weight in weights.tolist()],
        "bias": round(bias, 3),
        "tone_accuracy": round(right, 4),
    }


def _openings(sentences: Sequence[tuple[int, ...]]) -> dict:
    """The three-word beginnings that several sentences share; the most frequent first,
    the others in random order, and the last fifth for testing."""
    count = collections.Counter(ids[:OPENING] for ids in sentences)
    often = sorted(
        (o for o, n in count.items() if n >= OFTEN), key=lambda o: (-count[o], o)
    )
    rest = often[1:]
    random.Random(0).shuffle(rest)
    openings = [often[0], *rest]
    return {"openings": openings, "practice": len(openings) * 4 // 5}
