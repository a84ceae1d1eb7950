"""Real words: a small model that has read film reviews, and a judge of their tone.

The model writes on after three words of a review. The reward of what it writes is the
log-odds that a sentence with these words stands in a review that likes its film, as a
logistic regression on labelled reviews has it: a sum of one weight a word.
"""

import copy
import functools
import json
from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_lib import validate
from course_lib._moved import renamed
from course_lib.baselines import policy_gradient_steps
from course_lib.batches import Texts, texts_logps
from course_lib.datasets import table_of
from course_lib.metrics import kl_estimates
from course_lib.training import Config, Log, fit, train
from course_lib.transformer import SHIPPED, Transformer, sample
from course_lib.transformer import load as load_model

__all__ = [
    "LONGEST",
    "OPENING",
    "RECIPE",
    "Outcome",
    "Reviews",
    "Samples",
    "align",
    "best_and_worst",
    "best_of_each",
    "compare",
    "evaluate",
    "load",
    "mean_and_error",
    "policy_gradient",
    "sample_logps",
    "shipped_outcomes",
    "side_by_side",
    "write",
]

OPENING = 3  # words of a prompt
LONGEST = 17  # tokens of a response, the end included
RECIPE = Config(  # for about 12,000 comparisons of the best and worst of four
    method="dpo_nll",
    beta=0.5,
    lr=2e-4,
    steps=180,
    batch_size=128,
    warmup=10,
    clip=10.0,
)
AT_ONCE = 1024  # responses written together
__getattr__ = renamed(__name__, Drawn="Samples", drawn_logps="sample_logps")


@functools.cache
def numbers(words: tuple[str, ...]) -> dict[str, int]:
    """The id of each word."""
    return {word: number for number, word in enumerate(words)}


class Reviews(NamedTuple):
    """The words, what each is worth, and how sentences begin.

    Ids are 0 … words − 1 for words, then the end, then the start of a sentence.
    """

    words: tuple[str, ...]
    weights: Tensor  # log-odds that each id adds, (words + 2,); 0 for end and start
    bias: float  # log-odds of a sentence without words
    openings: Tensor  # prompts: the start and three words, (openings, 4)
    practice: int  # the first so many are for training, the others for testing

    @property
    def end(self) -> int:
        """The id that ends a sentence."""
        return len(self.words)

    @property
    def start(self) -> int:
        """The id that every sentence begins with."""
        return len(self.words) + 1

    def prompts(self, count: int, *, seed: int, held_out: bool = False) -> Tensor:
        """Openings drawn at random, with replacement.

        count: ≥ 1; seed: the same ones again; held_out: of those for testing
        returns: ids, (count, 4)
        """
        validate.at_least(1, count=count)
        first, last = (
            (self.practice, len(self.openings)) if held_out else (0, self.practice)
        )
        random = torch.Generator().manual_seed(seed)
        return self.openings[torch.randint(first, last, (count,), generator=random)]

    def reward(self, responses: Tensor) -> Tensor:
        """Log-odds of being liked: what the words add, and the bias.

        r(y) = bias + Σ_t weight(y_t)

        responses: ids, (…, time), the end after the end
        returns: (…); 0 is neither liked nor disliked
        """
        return self.bias + self.weights[responses].sum(-1)

    def ids(self, text: str) -> list[int]:
        """Words with a space between them, as ids.

        raises: ValueError for a word that the model does not know
        """
        known = numbers(self.words)
        for word in text.split():
            if word not in known:
                raise ValueError(f"text holds {word!r}, which is no word of the model")
        return [known[word] for word in text.split()]

    def text(self, ids: Tensor) -> str:
        """Ids as a person would write them: start and end are silent."""
        text = ""
        for number in ids.tolist():
            if number < self.end:
                word = self.words[number]
                text += word if word in ".,!?" else " " + _capital(word)
        text = text.strip()
        return text[:1].upper() + text[1:]


def _capital(word: str) -> str:
    return word.capitalize() if word == "i" or word.startswith("i'") else word


class Samples(NamedTuple):
    """What a model wrote."""

    prompts: Tensor  # (batch, 4)
    tokens: Tensor  # (batch, LONGEST), the end after the end
    lengths: Tensor  # (batch,), tokens that count, the end included
    rewards: Tensor  # (batch,)

    @property
    def texts(self) -> Texts:
        """Prompts with one response each, as the trainer reads them."""
        sizes = torch.full_like(self.lengths, self.prompts.shape[1])
        return Texts(self.prompts, sizes, self.tokens[:, None], self.lengths[:, None])


def load() -> tuple[Transformer, Reviews]:
    """The model that has read reviews, and the words that it knows.

    source: made by `python3 -m course_lib remake reviews`

    >>> model, reviews = load()
    >>> reviews.text(reviews.openings[0])
    'This movie is'
    """
    with (SHIPPED / "reviews.json").open(encoding="utf-8") as file:
        known = json.load(file)
    reviews = Reviews(
        tuple(known["words"]),
        torch.tensor([*known["weights"], 0.0, 0.0]),
        known["bias"],
        torch.tensor([[len(known["words"]) + 1, *ids] for ids in known["openings"]]),
        known["practice"],
    )
    return load_model(SHIPPED / "reviews.pt"), reviews


def write(model: nn.Module, reviews: Reviews, prompts: Tensor, *, seed: int) -> Samples:
    """Let a model write on after each prompt, and judge what it writes.

    prompts: ids, (batch, 4); seed: the same responses again
    returns: Samples
    """
    random = torch.Generator().manual_seed(seed)
    pieces = [
        sample(model, piece, longest=LONGEST, end=reviews.end, generator=random)
        for piece in prompts.split(AT_ONCE)
    ]
    tokens, lengths = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    return Samples(prompts, tokens, lengths, reviews.reward(tokens))


def compare(
    model: nn.Module,
    reviews: Reviews,
    count: int,
    *,
    seed: int,
    draws: int = 2,
    temperature: float = 1.0,
) -> Texts:
    """Ask for comparisons: the best and the worst of some responses to each prompt.

    The judge ranks by r(y)/temperature + Gumbel noise. For two responses that is
    Bradley–Terry, P(y₁ ≻ y₂) = σ( (r(y₁) − r(y₂)) / temperature )

    model: who writes; count: prompts asked, ≥ 1; seed: the same pairs again
    draws: responses to a prompt, ≥ 2; temperature: ≥ 0, 0 for a judge who never errs
    returns: Texts of chosen and rejected; a prompt whose responses are all equal is
        left out
    raises: ValueError for a value outside its range
    source: Yellott (1977) for the noise; Plackett (1975), Luce (1959) for the ranking
    """
    validate.fraction("temperature", temperature)
    validate.at_least(2, draws=draws)
    prompts = reviews.prompts(count, seed=seed).repeat_interleave(draws, 0)
    samples = write(model, reviews, prompts, seed=seed)
    random = torch.Generator().manual_seed(seed + 1)
    chance = torch.rand(count, draws, generator=random, dtype=torch.float64)
    noise = -(-chance.clamp(min=1e-300).log()).log()
    judged = samples.rewards.view(count, draws) + temperature * noise
    return best_and_worst(samples.texts, judged)


def best_and_worst(texts: Texts, judged: Tensor) -> Texts:
    """Of the responses to each prompt the one judged best, and the one judged worst.

    texts: of one response each, all to one prompt in a row
    judged: what they are ranked by, (prompts, responses to each)
    returns: chosen and rejected; a prompt whose two are equal is left out
    raises: ValueError if no prompt is left
    """
    ends = torch.stack((judged.argmax(1), judged.argmin(1)), 1)  # (prompts, 2)
    rows = torch.arange(len(judged))[:, None] * judged.shape[1] + ends
    responses, lengths = texts.responses[rows, 0], texts.lengths[rows, 0]
    prompts, sizes = texts.prompts[rows[:, 0]], texts.prompt_lengths[rows[:, 0]]
    differ = (responses[:, 0] != responses[:, 1]).any(1)
    if not differ.any():
        raise ValueError("texts hold no prompt with two different responses")
    return Texts(prompts, sizes, responses, lengths).take(differ.nonzero().squeeze(1))


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """The mean of a sample, and its standard error."""
    return values.mean().item(), values.std().item() / len(values) ** 0.5


def sample_logps(model: nn.Module, samples: Samples) -> Tensor:
    """Log-probability of what was written, nats, (batch,)."""
    return texts_logps(model, samples.texts, AT_ONCE)[:, 0]


def evaluate(
    model: nn.Module, ref: nn.Module, reviews: Reviews, *, count: int, seed: int
) -> dict[str, float]:
    """Reward and KL of a policy on held-out openings, with their standard errors.

    KL(π‖π_ref) = E[ log π(y|x) − log π_ref(y|x) ], over what π writes

    count: responses, ≥ 2; seed: of openings and responses
    returns: reward, reward_se; kl, kl_se, nats; length, tokens; distinct, the share of
        different responses
    """
    prompts = reviews.prompts(count, seed=seed, held_out=True)
    samples = write(model, reviews, prompts, seed=seed)
    kl = kl_estimates(sample_logps(model, samples), sample_logps(ref, samples))["k1"]
    (reward, reward_se), (kl, kl_se) = map(mean_and_error, (samples.rewards, kl))
    return {
        "reward": reward,
        "reward_se": reward_se,
        "kl": kl,
        "kl_se": kl_se,
        "length": samples.lengths.double().mean().item(),
        "distinct": len(samples.tokens.unique(dim=0)) / count,
    }


def align(
    ref: Transformer,
    reviews: Reviews,
    config: Config,
    *,
    count: int,
    draws: int = 2,
    temperature: float = 1.0,
    rounds: int = 1,
) -> Log:
    """DPO on comparisons of what the reference writes; in later rounds, the policy.

    Each round asks for comparisons between responses of the policy as it is by then and
    trains it on them, with the reference that it began from

    ref: stays as it is; config: of one round; count, draws, temperature: of the
        comparisons of one round, as for `compare`; rounds: ≥ 1
    returns: the Log of the last round
    raises: ValueError as `compare` and `train`
    source: Rafailov et al. (2023); for the rounds Guo et al. (2024), Online AI feedback
    """
    validate.at_least(1, rounds=rounds)
    model = copy.deepcopy(ref)
    for number in range(rounds):
        seed = 1_000 * (1_000 * config.seed + number)
        asked = {"seed": seed, "draws": draws, "temperature": temperature}
        texts = compare(model, reviews, count, **asked)
        log = train(model, texts, config, ref=ref)
    return log


def policy_gradient(
    ref: Transformer, reviews: Reviews, config: Config, *, each: int = 4
) -> Log:
    """REINFORCE on the judge itself: what DPO does without.

    A response's advantage is r − β log(π/π_ref) less the mean over the other responses
    to its prompt

    ref: stays as it is; config: with `samples` responses a step; each: responses to a
        prompt, ≥ 2
    returns: a Log
    source: Williams (1992); Kool et al. (2019) for the baseline
    """
    if each < 2 or config.samples % each:
        raise ValueError(f"each must be ≥ 2 and divide {config.samples}, got {each}")
    model = copy.deepcopy(ref)

    def rollouts(step):
        seed = 1_000_003 * config.seed + step
        prompts = reviews.prompts(config.samples // each, seed=seed)
        samples = write(model, reviews, prompts.repeat_interleave(each, 0), seed=seed)
        return samples.texts, samples.rewards.view(-1, each)

    losses = policy_gradient_steps(
        model, ref, rollouts, config.beta, updates=1, leave_one_out=True
    )
    return fit(model, losses, config)


class Outcome(NamedTuple):
    """A way of aligning the model, measured on held-out openings."""

    method: str
    beta: float  # for best_of_n: n
    seed: int
    reward: float
    reward_se: float
    kl: float  # nats; for best_of_n the bound log n − (n − 1)/n
    kl_se: float
    distinct: float  # share of different responses
    seconds: float  # of CPU, sampling included


def shipped_outcomes() -> list[Outcome]:
    """What `python3 -m course_lib remake reviews` measured.

    >>> shipped_outcomes()[0].method
    'best_of_n'
    """
    return table_of(Outcome, "reviews")


def best_of_each(samples: Samples, n: int) -> Tensor:
    """The reward of the best of every n responses in a row, to one prompt each.

    samples: with each prompt n times in a row; n: ≥ 1
    returns: (batch / n,)
    raises: ValueError if n does not divide the batch, or a prompt changes within n
    """
    if n < 1 or len(samples.rewards) % n:
        raise ValueError(f"n must divide the {len(samples.rewards)} responses, got {n}")
    prompts = samples.prompts.view(-1, n, samples.prompts.shape[1])
    if (prompts != prompts[:, :1]).any():
        raise ValueError("samples must hold each prompt n times in a row")
    return samples.rewards.view(-1, n).amax(1)


def side_by_side(
    before: nn.Module, after: nn.Module, reviews: Reviews, *, count: int, seed: int
) -> str:
    """What two models write after the same openings, from the same seed, to be read.

    count: openings, of those for testing
    returns: for each opening both sentences, each after its reward
    """
    prompts = reviews.prompts(count, seed=seed, held_out=True)
    both = [write(model, reviews, prompts, seed=seed) for model in (before, after)]
    lines = []
    for row, prompt in enumerate(prompts):
        lines.append(reviews.text(prompt) + " …")
        for name, samples in zip(("before", "after"), both, strict=True):
            words = reviews.text(torch.cat((prompt, samples.tokens[row])))
            lines.append(f"  {name:<6} {samples.rewards[row].item():+5.1f}  {words}")
    return "\n".join(lines)
