"""The model that has read film reviews, the judge of tone, and what DPO makes of them.

Each step's file is kept where it is there: who wants one made again removes it first.
"""

import collections
import copy
import csv
import dataclasses
import itertools
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from course_lib.batches import Texts, collate, pairs, response_logps
from course_lib.reviews import (
    OPENING,
    RECIPE,
    Outcome,
    Reviews,
    align,
    best_of_each,
    compare,
    evaluate,
    load,
    policy_gradient,
    write,
)
from course_lib.training import Config, train
from course_lib.transformer import SHIPPED, Shape, Transformer, save
from course_tools.regenerate.corpus import (
    BLOCKED,
    Review,
    Sentence,
    choose_words,
    cut,
    fit_tone,
    held_out,
    read_reviews,
    tell_names,
    tone_accuracy,
    usable,
)
from course_tools.regenerate.frontier import in_parallel

__all__ = ["best_of_n", "learn", "make", "on_stored_pairs", "perplexity", "table"]
__all__ += ["while_asking"]

WORDS = 3_500
EPOCHS, BATCH = 6, 128
SHARPNESS = 0.8  # the temperature that the model is shipped at
PENALTY = 1e-5  # of the judge's weights
OFTEN = 3  # an opening is one if so many sentences begin with it

SEEDS = (0, 1, 2)
PAIRS = 12_000  # prompts asked for comparisons, by each seed
DRAWS, TEMPERATURE = 4, 0.3  # best and worst of four, by a judge who errs little
JUDGED = 2_000  # responses that a policy is measured by
BASE = dataclasses.replace(RECIPE, quiet=True)
GRADIENT = dataclasses.replace(BASE, lr=4e-4, steps=60, beta=0.4)
RUNS = (  # a method's name, with its β
    ("dpo", 0.5),
    ("dpo_nll", 0.3),
    ("dpo_nll", 0.5),
    ("dpo_nll", 1.0),
)
ROUNDS = 4  # of asking, with RECIPE's loss and as many comparisons in all
NS = (1, 2, 4, 8, 16)


def make(folder: Path = SHIPPED) -> str:
    """Train the model and the judge, then DPO on what they write and say.

    Minutes for the former, on one core, and for the latter, on all
    """
    torch.set_num_threads(1)
    told = []
    if not (folder / "reviews.pt").exists():
        told.append(learn(read_reviews(), folder))
    model, reviews = load()
    path = folder / "reviews.csv"
    if not path.exists():
        rows = best_of_n(model, reviews)
        jobs = list(itertools.product(SEEDS, (on_stored_pairs, while_asking)))
        rows += itertools.chain(*in_parallel(_outcomes, jobs))
        told.append(table(rows, path))
    return "\n".join(told) or f"{folder}: reviews.pt and reviews.csv are there"


def learn(
    reviews: Sequence[Review],
    folder: Path,
    *,
    words: int = WORDS,
    shape: dict[str, int] | None = None,
    epochs: float = EPOCHS,
    batch: int = BATCH,
) -> str:
    """Read reviews: the words, the judge and the language model, written to `folder`.

    words: of the vocabulary, at most; shape: sizes of the transformer; batch: sentences
        a step
    returns: what was written and how good it is on reviews that were held out
    """
    sentences = cut(reviews)
    vocabulary = choose_words(sentences, words, tell_names(sentences) | BLOCKED)
    known = {word: number for number, word in enumerate(vocabulary)}
    whole = usable(sentences, known)
    facts = {"words": vocabulary}
    facts |= _judge(sentences, [review.liked for review in reviews], known)
    facts |= _openings([*whole])

    end = len(vocabulary)
    unseen, texts = (
        _texts([ids for ids, review in whole.items() if held_out(review) is of], end)
        for of in (True, False)
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        sizes = shape or {"width": 96, "layers": 3, "hidden": 256}
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
    train(model, texts, config)
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


def _texts(sentences: Sequence[tuple[int, ...]], end: int) -> Texts:
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
    learnt: tuple[list[Tensor], list[bool]] = ([], [])
    tested: tuple[list[Tensor], list[bool]] = ([], [])
    for tokens, review, _ in sentences:
        words, answers = tested if held_out(review) else learnt
        ids = [known[t] for t in map(str.lower, tokens) if t in known]
        words.append(torch.tensor(ids, dtype=torch.long))
        answers.append(liked[review])
    weights, bias = fit_tone(
        learnt[0], torch.tensor(learnt[1]), len(known), penalty=PENALTY
    )
    right = tone_accuracy(tested[0], torch.tensor(tested[1]), weights, bias)
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


def best_of_n(
    model: Transformer, reviews: Reviews, *, count: int = JUDGED // 2
) -> list[Outcome]:
    """What the best of n responses earns; n = 1 is the reference itself.

    The KL is its bound, log n − (n − 1)/n, which is nearly tight for many responses.
    `distinct` is of all the responses
    """
    begun = time.process_time()
    prompts = reviews.prompts(count, seed=0, held_out=True)
    drawn = write(model, reviews, prompts.repeat_interleave(max(NS), 0), seed=0)
    distinct = len(drawn.tokens.unique(dim=0)) / len(drawn.tokens)
    seconds = time.process_time() - begun
    rows = []
    for n in NS:
        best = best_of_each(drawn, n).view(count, -1).mean(1)  # of each prompt
        error = best.std().item() / count**0.5
        kl = math.log(n) - (n - 1) / n
        numbers = best.mean().item(), error, kl, 0.0, distinct
        rows.append(Outcome("best_of_n", float(n), 0, *numbers, seconds))
    return rows


def on_stored_pairs(
    model: Transformer,
    reviews: Reviews,
    seed: int,
    *,
    asked: int = PAIRS,
    base: Config = BASE,
    count: int = JUDGED,
) -> list[Outcome]:
    """All of RUNS from the same comparisons of what the reference wrote."""
    begun = time.process_time()
    about = {"seed": 1_000 * seed, "draws": DRAWS, "temperature": TEMPERATURE}
    texts = compare(model, reviews, asked, **about)
    sampling = time.process_time() - begun
    rows = []
    for method, beta in RUNS:
        begun = time.process_time()
        policy = copy.deepcopy(model)
        config = dataclasses.replace(base, method=method, beta=beta, seed=seed)
        train(policy, texts, config, ref=model)
        seconds = sampling + time.process_time() - begun
        rows.append(_row(method, config, policy, model, reviews, count, seconds))
    return rows


def while_asking(
    model: Transformer,
    reviews: Reviews,
    seed: int,
    *,
    asked: int = PAIRS,
    base: Config = BASE,
    gradient: Config = GRADIENT,
    count: int = JUDGED,
) -> list[Outcome]:
    """As many comparisons, but in ROUNDS of what the policy writes by then; and
    REINFORCE, which asks the judge for numbers."""
    begun = time.process_time()
    config = dataclasses.replace(base, seed=seed, steps=base.steps // ROUNDS)
    about = {"draws": DRAWS, "temperature": TEMPERATURE, "rounds": ROUNDS}
    policy = align(model, reviews, config, count=asked // ROUNDS, **about).model
    seconds = time.process_time() - begun
    rows = [_row("rounds", config, policy, model, reviews, count, seconds)]
    begun = time.process_time()
    config = dataclasses.replace(gradient, seed=seed)
    policy = policy_gradient(model, reviews, config).model
    seconds = time.process_time() - begun
    return [*rows, _row("reinforce", config, policy, model, reviews, count, seconds)]


def _outcomes(job: tuple[int, Callable]) -> list[Outcome]:
    torch.set_num_threads(1)
    seed, measured = job
    return measured(*load(), seed)


def _row(
    method: str,
    config: Config,
    policy: Transformer,
    ref: Transformer,
    reviews: Reviews,
    count: int,
    seconds: float,
) -> Outcome:
    scores = evaluate(policy, ref, reviews, count=count, seed=10_000 + config.seed)
    known = {name: value for name, value in scores.items() if name in Outcome._fields}
    return Outcome(method, config.beta, config.seed, **known, seconds=seconds)


def table(rows: Sequence[Outcome], path: Path) -> str:
    """The rows as a CSV file, to four decimals; whole, or as it was before."""
    beside = path.with_suffix(".part")
    with beside.open("w", encoding="utf-8", newline="") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow(Outcome._fields)
        for row in rows:
            measured = [round(value, 4) for value in row[3:-1]]
            written.writerow([*row[:3], *measured, round(row.seconds, 1)])
    beside.replace(path)
    return f"{path.name}: {len(rows)} outcomes"
