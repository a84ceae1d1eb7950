"""Worlds small enough to be exact: every response is listed, with its probability.

First worlds of a few named answers, then a language of eight words, whose sentences a
model writes token by token and which are all enumerated.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_lib import _moved, validate

__all__ = [
    "Demonstrations",
    "Preferences",
    "SentenceWorld",
    "World",
    "eight_words",
    "five_responses",
    "random_world",
    "sample_demonstrations",
    "sample_preferences",
    "sample_rewards",
    "sample_single_thumbs",
    "sample_thumbs",
    "sentence_logps",
    "world_l",
    "world_s",
]


class World(NamedTuple):
    """One prompt, or several: what can be answered, how likely, and how good it is."""

    names: tuple[str, ...]
    ref: Tensor  # the reference policy's probabilities, shape (…, responses)
    rewards: Tensor  # the true rewards, shape (…, responses)


def five_responses() -> World:
    """The world of five answers that chapters 02 to 05 work in.

    returns: a World of names A to E, float64
    source: numbers chosen so that one answer is common and dull, one good and rare

    >>> five_responses().rewards.tolist()
    [1.0, 3.0, 0.5, 2.5, -0.5]
    """
    ref = torch.tensor([0.30, 0.25, 0.20, 0.15, 0.10], dtype=torch.float64)
    rewards = torch.tensor([1.0, 3.0, 0.5, 2.5, -0.5], dtype=torch.float64)
    return World(("A", "B", "C", "D", "E"), ref, rewards)


def eight_words() -> World:
    """A language of eight words: how often each is said, and what it is worth.

    returns: a World of eight words, float64. An answer is some words in a row, drawn
        independently; its reward is the sum of their values
    source: numbers chosen so that the best word is rare

    >>> eight_words().names[-1], float(eight_words().ref[-1])
    ('superb', 0.01)
    """
    words = ("the", "a", "film", "fine", "dull", "good", "moving", "superb")
    ref = [0.25, 0.20, 0.18, 0.14, 0.10, 0.08, 0.04, 0.01]
    values = [0.0, 0.0, 0.0, 0.5, -1.0, 1.0, 1.5, 2.0]
    ref, values = (torch.tensor(x, dtype=torch.float64) for x in (ref, values))
    return World(words, ref, values)


def sample_rewards(world: World, length: int, *shape: int, seed: int) -> Tensor:
    """Rewards of random answers, each of `length` independent draws from `world.ref`.

    world: of one row; an answer's reward is the sum of what its draws are worth
    length: draws an answer, ≥ 1; shape: how many answers; seed: the same ones again
    returns: rewards, of that shape
    raises: ValueError for a length below 1

    >>> sample_rewards(five_responses(), 1, 2, 3, seed=0).shape
    torch.Size([2, 3])
    """
    validate.at_least(1, length=length)
    random = torch.Generator().manual_seed(seed)
    count = math.prod(shape) * length
    drawn = torch.multinomial(world.ref, count, replacement=True, generator=random)
    return world.rewards[drawn].reshape(*shape, length).sum(-1)


def random_world(seed: int, responses: int = 5, worlds: int | None = None) -> World:
    """Worlds whose references and rewards are drawn at random.

    seed: the same world again for the same seed
    responses: how many answers each has; worlds: how many worlds, None for a single one
    returns: a World, float64, of shape (responses,) or (worlds, responses): a reference
        from softmax(N(0, 1)), rewards from N(0, 1.5²)
    raises: ValueError for fewer than two responses

    >>> random_world(0, responses=3, worlds=20).ref.shape
    torch.Size([20, 3])
    """
    validate.at_least(2, responses=responses)
    random = torch.Generator().manual_seed(seed)
    shape = (responses,) if worlds is None else (worlds, responses)
    normal = torch.randn(2, *shape, generator=random, dtype=torch.float64)
    names = tuple(f"y{number}" for number in range(1, responses + 1))
    return World(names, torch.softmax(normal[0], -1), 1.5 * normal[1])


def sentence_logps(levels: Sequence[Tensor]) -> Tensor:
    """From next-token log-probs at every prefix to those of every sentence.

    log π(y) = Σ_t log π(y_t | y_<t);  after the last level the end is forced

    levels: for depth 0, 1, … the log-probs of each word and, last, of the end, after
        each prefix of that many words: shape (…, words^depth, words + 1)
    returns: nats, shape (…, 1 + words + … + words^len(levels)): sentences by length,
        then in the order of the words
    source: the chain rule of probability, on a tree

    >>> fair = torch.full((1, 3), 1 / 3).log()          # two words and the end
    >>> sentence_logps([fair]).exp()                    # ended, first word, second word
    tensor([0.3333, 0.3333, 0.3333])
    """
    so_far, ended = torch.zeros_like(levels[0][..., 0]), []
    for level in levels:
        ended.append(so_far + level[..., -1])
        so_far = (so_far[..., None] + level[..., :-1]).flatten(-2)
    return torch.cat([*ended, so_far], -1)


class Preferences(NamedTuple):
    """Comparisons, by number: which prompt, which answer won, which lost."""

    prompts: Tensor  # (pairs,)
    chosen: Tensor  # (pairs,)
    rejected: Tensor  # (pairs,)


def sample_preferences(
    world: World,
    count: int,
    *,
    seed: int,
    label_noise: float = 0.0,
    bonus: Tensor | None = None,
    sampler: Tensor | None = None,
) -> Preferences:
    """Ask for comparisons: two different answers, judged by Bradley–Terry.

    P(y₁ ≻ y₂) = σ( r(y₁) − r(y₂) ), and then a share of the labels is flipped

    world: of shape (prompts, responses); prompts take turns
    count: pairs, ≥ 1; seed: the same ones again
    label_noise: share of the labels that is flipped, in [0, ½)
    bonus: what annotators like besides, added to the rewards, such as ½ a word:
        shape (responses,) or (prompts, responses)
    sampler: who wrote the answers, shape of `world.ref`; None for the reference
    returns: Preferences
    raises: ValueError for a value outside its range
    source: Rafailov et al. (2023), §3, the data that DPO is given

    >>> half = torch.tensor([[0.5, 0.5]])
    >>> world = World(("good", "bad"), half, torch.tensor([[90.0, 0.0]]))
    >>> sample_preferences(world, 3, seed=0).chosen                # good always wins
    tensor([0, 0, 0])
    """
    validate.at_least(1, count=count)
    validate.fraction("label_noise", label_noise, below=0.5)
    chances = world.ref if sampler is None else sampler
    validate.probabilities(sampler=chances)
    random = torch.Generator().manual_seed(seed)
    prompts = torch.arange(count) % len(chances)
    answers = torch.multinomial(chances[prompts], 2, generator=random)  # never equal
    judged = world.rewards if bonus is None else world.rewards + bonus
    first, second = judged[prompts[:, None], answers].unbind(1)
    first_wins = _coin(torch.sigmoid(first - second), random)
    first_wins ^= _coin(torch.full((count,), label_noise), random)
    ordered = torch.where(first_wins[:, None], answers, answers.flip(1))
    return Preferences(prompts, *ordered.unbind(1))


def sample_thumbs(world: World, count: int, *, seed: int) -> Preferences:
    """Thumbs up or down on single answers, matched to pairs within their prompt.

    P(up | y) = σ( r(y) − mean r ); a pair is an answer with its thumb up and another
    with its thumb down, drawn apart. Its odds are Bradley–Terry's, exactly:
    σ(a) σ(−b) / (σ(b) σ(−a)) = e^{a − b}

    world: of shape (prompts, responses); prompts take turns
    count: pairs, ≥ 1, so twice as many thumbs are used; seed: the same ones again
    returns: Preferences, no two sides equal
    raises: ValueError for a count below 1, or a prompt that has only one answer

    >>> half = torch.tensor([[0.5, 0.5]])
    >>> world = World(("good", "bad"), half, torch.tensor([[90.0, 0.0]]))
    >>> sample_thumbs(world, 3, seed=0).rejected
    tensor([1, 1, 1])
    """
    validate.at_least(1, count=count)
    if ((world.ref > 0).sum(-1) < 2).any():
        raise ValueError("world must have two answers or more to each prompt")
    random = torch.Generator().manual_seed(seed)
    up = _chance_of_thumb_up(world)
    prompts = torch.arange(count) % len(world.ref)
    chosen, rejected = torch.zeros(2, count, dtype=torch.long)
    todo = torch.arange(count)
    while len(todo):
        rows = prompts[todo]
        for side, liked in ((chosen, up), (rejected, 1 - up)):
            chances = world.ref * liked  # of an answer that was given this thumb
            side[todo] = torch.multinomial(chances[rows], 1, generator=random)[:, 0]
        todo = todo[chosen[todo] == rejected[todo]]
    return Preferences(prompts, chosen, rejected)


class Thumbs(NamedTuple):
    """Single answers, by number, each liked or not."""

    prompts: Tensor  # (thumbs,)
    answers: Tensor  # (thumbs,)
    desirable: Tensor  # (thumbs,), True for a thumb up


def sample_single_thumbs(
    world: World, count: int, *, seed: int, label_noise: float = 0.0
) -> Thumbs:
    """Thumbs up or down on single answers of the reference: nothing is compared.

    P(up | y) = σ( r(y) − mean r ), and then a share of the thumbs is turned over

    world: of shape (prompts, responses); prompts take turns
    count: thumbs, ≥ 1; seed: the same ones again; label_noise: in [0, ½)
    returns: Thumbs
    raises: ValueError for a value outside its range

    >>> world = World(("good",), torch.ones(1, 1), torch.zeros(1, 1))
    >>> sample_single_thumbs(world, 2, seed=0).answers
    tensor([0, 0])
    """
    validate.at_least(1, count=count)
    validate.fraction("label_noise", label_noise, below=0.5)
    random = torch.Generator().manual_seed(seed)
    prompts = torch.arange(count) % len(world.ref)
    answers = torch.multinomial(world.ref[prompts], 1, generator=random)[:, 0]
    up = _coin(_chance_of_thumb_up(world)[prompts, answers], random)
    return Thumbs(
        prompts, answers, up ^ _coin(torch.full((count,), label_noise), random)
    )


def _chance_of_thumb_up(world: World) -> Tensor:
    """σ( r(y) − mean r ), the mean over the reference's answers to the prompt."""
    usual = (world.ref * world.rewards).sum(-1, keepdim=True)
    return torch.sigmoid(world.rewards - usual)


def _coin(chance: Tensor, random: torch.Generator) -> Tensor:
    return torch.rand(len(chance), generator=random, dtype=torch.float64) < chance


WORDS = ("it", "was", "not", "very", "good", "bad", "!", "thanks")
END = len(WORDS)  # the id that ends a sentence; the prompts' ids follow
PROMPTS = {  # is praise wanted, and politeness: what a word of each is worth
    "film": (1.0, 0.3),
    "soup": (1.0, 0.5),
    "hotel": (-1.0, 0.2),  # an honest complaint
    "talk": (0.4, 0.8),
}
COST = 0.15  # of each word


class SentenceWorld(NamedTuple):
    """Four prompts, eight words, and every sentence of at most `longest` words.

    A sentence is its words and the end token; at `longest` words the end is forced, has
    no token and costs nothing. Sentences stand by length, then in the order of the ids.
    """

    longest: int
    tokens: Tensor  # (responses, longest), the end token after the end
    lengths: Tensor  # (responses,), tokens that a model has to say
    rewards: Tensor  # (prompts, responses), float64

    @property
    def end(self) -> int:
        """The id of the end token."""
        return END

    def prompt_ids(self, prompts: Tensor) -> Tensor:
        """Prompts by number as rows of one token: (batch,) in, (batch, 1) out."""
        return END + 1 + prompts[:, None]

    def log_policy(self, model: nn.Module) -> Tensor:
        """Exact log-probability of every sentence after every prompt.

        One pass over the longest prefixes: a prefix's next-token probabilities serve
        all sentences that begin with it.

        model: ids (batch, time) in, logits (batch, time, words + 1) out
        returns: nats, (prompts, responses); each row's probabilities sum to 1
        """
        words, prompts = len(WORDS), self.prompt_ids(torch.arange(len(PROMPTS)))
        leaves = self.tokens[self.tokens[:, -1] < END][::words, :-1]
        begun = prompts.repeat_interleave(len(leaves), 0)
        rows = torch.cat((begun, leaves.repeat(len(prompts), 1)), 1)
        pieces = [model(piece).log_softmax(-1) for piece in rows.split(512)]
        steps = torch.cat(pieces)  # (prompts · leaves, longest, words + 1)
        levels = []
        for depth in range(self.longest):
            same = words ** (self.longest - 1 - depth)  # leaves that share this prefix
            levels.append(steps[::same, depth].view(len(prompts), -1, words + 1))
        return sentence_logps(levels)

    def exact(self, model: nn.Module) -> World:
        """This world with the model as its reference, for everything in `policies`."""
        with torch.no_grad():
            ref = self.log_policy(model).double().softmax(-1)
        return World(tuple(map(self.text, range(len(self.tokens)))), ref, self.rewards)

    def text(self, response: int) -> str:
        """The sentence of that number, in words."""
        words = [WORDS[i] for i in self.tokens[response].tolist() if i < END]
        return " ".join(words) or "(nothing)"

    def number(self, tokens: Tensor) -> Tensor:
        """Which sentences these are: (…, longest) tokens in, numbers (…) out."""
        said = tokens < END
        place = torch.zeros_like(tokens[..., 0])
        for word, counts in zip(tokens.unbind(-1), said.unbind(-1), strict=True):
            place = torch.where(counts, place * len(WORDS) + word, place)
        shorter = (len(WORDS) ** said.sum(-1) - 1) // (len(WORDS) - 1)
        return shorter + place

    texts = _moved.texts  # of the release before


@functools.cache
def world_s() -> SentenceWorld:
    """World S: sentences of at most three words, 585 after each of four prompts.

    >>> world_s().rewards.shape, world_s().text(365)
    (torch.Size([4, 585]), 'good good good')
    """
    return _sentences(3)


@functools.cache
def world_l() -> SentenceWorld:
    """World L: sentences of at most five words, 37,449 after each of four prompts."""
    return _sentences(5)


def _sentences(longest: int) -> SentenceWorld:
    ids = range(len(WORDS))
    listed = [s for n in range(longest + 1) for s in itertools.product(ids, repeat=n)]
    lengths = torch.tensor([min(len(s) + 1, longest) for s in listed])
    tokens = torch.tensor([s + (END,) * (longest - len(s)) for s in listed])
    parts = torch.tensor([_judged(s) for s in listed], dtype=torch.float64)
    weights = torch.tensor(list(PROMPTS.values()), dtype=torch.float64)
    words = torch.tensor([len(s) for s in listed], dtype=torch.float64)
    return SentenceWorld(longest, tokens, lengths, weights @ parts.T - COST * words)


def _judged(sentence: Sequence[int]) -> tuple[float, float]:
    """How much a sentence praises, and whether it is polite.

    "good" is +1 and "bad" −1; "not" before it multiplies by −0.7, "very" by 1.4, and
    both together by no more than 2; an exclamation mark multiplies the sum by 1.2
    """
    praise, factor = 0.0, 1.0
    said = [WORDS[i] for i in sentence]
    for word in said:
        if word in ("good", "bad"):
            praise += factor if word == "good" else -factor
            factor = 1.0
        else:
            factor *= {"not": -0.7, "very": 1.4}.get(word, 1.0)
            factor = max(-2.0, min(2.0, factor))
    return praise * (1.2 if "!" in said else 1.0), float("thanks" in said)


class Demonstrations(NamedTuple):
    """What people said, by number: to which prompt, and which sentence."""

    prompts: Tensor  # (examples,)
    responses: Tensor  # (examples,)


def sample_demonstrations(
    sentences: SentenceWorld, count: int, *, seed: int
) -> Demonstrations:
    """What people say in this language, for a model to imitate before it is aligned.

    A sentence is perhaps "it was", perhaps "not", perhaps "very", then "good" or "bad",
    perhaps "!" and perhaps "thanks"; one word in thirty is any word, so that nothing is
    impossible

    sentences: whose longest sentence is kept to; count: of sentences, ≥ 1
    seed: the same ones again
    returns: Demonstrations; prompts take turns

    >>> said = sample_demonstrations(world_s(), 3, seed=0).responses
    >>> [world_s().text(number) for number in said]
    ['very good', 'bad', 'it was bad']
    """
    random = torch.Generator().manual_seed(seed)
    prompts = torch.arange(count) % len(PROMPTS)
    polite = torch.tensor([0.2, 0.2, 0.2, 0.5])[prompts]
    tokens = torch.full((count, sentences.longest), END)
    todo = torch.arange(count)
    while len(todo):  # a sentence that became too long is begun again
        coins = torch.rand(len(todo), 6, generator=random)
        opener, negated, very, good, mark = (
            coins[:, :5] < torch.tensor([0.4, 0.25, 0.3, 0.5, 0.2])
        ).unbind(1)
        thanks = coins[:, 5] < polite[todo]
        said = (opener, opener, negated, very, good, ~good, mark, thanks)
        keep = torch.stack(said, 1)  # of WORDS, in their order
        fits = keep.sum(1) <= sentences.longest
        words = torch.arange(END).repeat(len(todo), 1).masked_fill(~keep, END)
        kept = words.gather(1, (~keep).to(torch.uint8).argsort(dim=1, stable=True))
        tokens[todo[fits]] = kept[fits, : sentences.longest]
        todo = todo[~fits]
    slip = torch.rand(tokens.shape, generator=random) < 1 / 30
    other = torch.randint(END, tokens.shape, generator=random)
    tokens = torch.where(slip & (tokens < END), other, tokens)
    return Demonstrations(prompts, sentences.number(tokens))
