"""The token-level view: soft values of beginnings, and the credit of each token.

An answer is written token by token, and its reward comes at the end. So a beginning has
a value, what it may still come to, and a token an advantage, what it changes. For the
optimal policy the advantage of a token is β times its log-ratio.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib import validate
from course_lib.worlds import WORDS, SentenceWorld

__all__ = [
    "answer_token_logps",
    "next_token_logps",
    "prefix_values",
    "soft_values",
    "token_advantages",
]


def next_token_logps(policy: Tensor, words: int) -> list[Tensor]:
    """From sentences' probabilities to next-token log-probs: `sentence_logps` undone.

    log π(a|s) = log (mass of all sentences that begin with s, a) − log (mass of s)

    policy: probabilities above 0 of all sentences of at most n words, by length, then
        in the order of the words: (…, 1 + words + … + words^n), n ≥ 1
    words: how many words there are, ≥ 1
    returns: for depth 0 … n − 1, (…, words^depth, words + 1), the end last
    raises: ValueError if policy is none, is 0 somewhere, or has another length
    source: the definition of a conditional probability, on a tree

    >>> fair = torch.full((3,), 1 / 3)                  # ended, first word, second word
    >>> next_token_logps(fair, words=2)[0].exp()
    tensor([[0.3333, 0.3333, 0.3333]])
    """
    validate.probabilities(policy=policy)
    if not validate.holds(policy > 0):
        raise ValueError("policy must be above 0 for every sentence")
    *shorter, mass = _by_length(policy.log(), words, "policy")
    levels = []
    for ended in reversed(shorter):
        after = torch.cat([_children(mass, words), ended[..., None]], -1)
        mass = after.logsumexp(-1)  # log mass of each prefix, (…, words^depth)
        levels.append(after - mass[..., None])
    return levels[::-1]


def answer_token_logps(
    policy: Tensor, sentences: SentenceWorld, answers: Sequence[int]
) -> Tensor:
    """Log-probabilities of the tokens of some answers, from those of all sentences.

    policy: probabilities above 0 of every sentence to one prompt, (sentences,)
    answers: numbers of sentences
    returns: nats, (answers, longest), 0 after the end. A row sums to log π(y)
    raises: ValueError as `next_token_logps`, or if there is no answer
    source: the chain rule of probability

    >>> from course_lib.worlds import world_s
    >>> alike = torch.full((585,), 1 / 585)
    >>> answer_token_logps(alike, world_s(), [0]).exp()          # ended at once
    tensor([[0.0017, 1.0000, 1.0000]])
    """
    if not len(answers):
        raise ValueError("answers is empty")
    levels = next_token_logps(policy, len(WORDS))
    tokens, lengths = sentences.tokens[answers], sentences.lengths[answers]
    place, found = torch.zeros_like(tokens[:, 0]), []
    for depth, level in enumerate(levels):
        said = depth < lengths
        word = torch.where(said, tokens[:, depth], 0)
        found.append(torch.where(said, level[torch.where(said, place, 0), word], 0.0))
        place = place * len(WORDS) + word.clamp(max=len(WORDS) - 1)
    return torch.stack(found, -1)


def soft_values(levels: Sequence[Tensor], rewards: Tensor, beta: float) -> list[Tensor]:
    """V of every prefix: the best value of the objective from there on.

    V(s) = β log Σ_a π_ref(a|s) e^{Q(s,a)/β},  Q(s, a) = V(s, a), or r(y) where a ends
    the answer.  V of the empty prefix is β log Z

    levels: next-token log-probs of the reference, as from `next_token_logps`
    rewards: of every sentence, in the same order, (…, sentences)
    beta: KL strength in reward per nat, > 0
    returns: for depth 0 … n, (…, words^depth); the last holds the rewards of the
        longest sentences
    raises: ValueError if rewards do not fit the levels, or beta ≤ 0
    source: Ziebart (2010), soft Bellman backup; Rafailov et al. (2024), From r to Q*

    >>> fair = torch.full((1, 3), 1 / 3).log()
    >>> soft_values([fair], torch.tensor([2.0, 2.0, 2.0]), beta=0.5)[0]
    tensor([2.])
    """
    validate.number("beta", beta)
    words = _words(levels)
    *ends, value = _by_length(rewards, words, "rewards")
    if len(ends) != len(levels):
        raise ValueError(f"rewards are of {len(ends)} levels, levels {len(levels)}")
    values = [value]
    for level, ended in zip(reversed(levels), reversed(ends), strict=True):
        q = torch.cat([_children(values[-1], words), ended[..., None]], -1)
        values.append(beta * (level + q / beta).logsumexp(-1))
    return values[::-1]


def token_advantages(
    levels: Sequence[Tensor], rewards: Tensor, beta: float
) -> list[Tensor]:
    """A of every token at every prefix: what it changes in the value.

    A(s, a) = Q(s, a) − V(s) = β log( π*(a|s) / π_ref(a|s) )

    levels, rewards, beta, raises: as for `soft_values`
    returns: for depth 0 … n − 1, (…, words^depth, words + 1). Along an answer they sum
        to r(y) − β log Z
    source: Rafailov et al. (2024), From r to Q*

    >>> fair = torch.full((1, 3), 1 / 3).log()
    >>> token_advantages([fair], torch.tensor([2.0, 2.0, 2.0]), beta=0.5)[0]
    tensor([[0., 0., 0.]])
    """
    values, words = soft_values(levels, rewards, beta), _words(levels)
    ends = _by_length(rewards, words, "rewards")
    return [
        torch.cat([_children(after, words), ended[..., None]], -1) - value[..., None]
        for value, after, ended in zip(values, values[1:], ends, strict=False)
    ]


def prefix_values(
    policy_logps: Tensor, ref_logps: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    """What each beginning of an answer is worth, read off an optimal policy.

    V_t = r(y) − β Σ_{s > t} log( π*(y_s | y_<s) / π_ref(y_s | y_<s) )

    policy_logps, ref_logps: log-probs of the tokens of each answer, nats, 0 after its
        end, (batch, time)
    rewards: of whole answers, (batch,); beta: KL strength in reward per nat, > 0
    returns: (batch, time + 1): before the first token β log Z, after the last r(y)
    raises: ValueError for shapes that do not fit, or beta ≤ 0
    source: the sum of `token_advantages` along an answer, from its end

    >>> policy, ref = torch.tensor([[-0.5, -1.0]]), torch.tensor([[-1.0, -3.0]])
    >>> prefix_values(policy, ref, torch.tensor([2.0]), beta=1.0)
    tensor([[-0.5000,  0.0000,  2.0000]])
    """
    validate.tensors(policy_logps=policy_logps, ref_logps=ref_logps)
    validate.batch(rewards=rewards)
    validate.number("beta", beta)
    validate.layout("batch time, batch", policy_logps=policy_logps, rewards=rewards)
    credit = beta * (policy_logps - ref_logps)  # (batch, time)
    to_come = credit.flip(-1).cumsum(-1).flip(-1)
    return torch.cat([rewards[:, None] - to_come, rewards[:, None]], -1)


def _words(levels: Sequence[Tensor]) -> int:
    if not levels:
        raise ValueError("levels is empty")
    return levels[0].shape[-1] - 1


def _by_length(of_sentences: Tensor, words: int, name: str) -> list[Tensor]:
    """What belongs to sentences of 0, 1, … words, each (…, words^length)."""
    validate.tensors(**{name: of_sentences})
    sizes, size = [], 1
    while sum(sizes) < of_sentences.shape[-1]:
        sizes.append(size)
        size *= words
    if sum(sizes) != of_sentences.shape[-1] or len(sizes) < 2:
        count = of_sentences.shape[-1]
        raise ValueError(f"{name} has {count} sentences, which no {words} words make")
    return list(of_sentences.split(sizes, -1))


def _children(of_prefixes: Tensor, words: int) -> Tensor:
    """(…, words^(depth + 1)) as (…, words^depth, words)."""
    return of_prefixes.unflatten(-1, (-1, words))
