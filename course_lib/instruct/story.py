"""One model, one judge: answers, pairs, DPO, and what it brought beside best-of-n."""

import copy
import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.batches import Texts, pairs
from course_lib.config import Config
from course_lib.distributed import sixteen_bits_pay
from course_lib.instruct.tasks import Task
from course_lib.metrics import Interval, kl_estimates
from course_lib.training import all_logps, train
from course_lib.transformer import Transformer, sample
from course_lib.trunk import LastBlocks, Trunk

__all__ = [
    "RECIPE",
    "Answers",
    "Speaker",
    "best_of",
    "by_prompt",
    "first_words",
    "improve",
    "kl_of",
    "ranked_pairs",
]

DEPTH = 6  # blocks that are trained, of 30
TEMPERATURE = 0.7  # built into the model
OF, KEPT = 8, 3  # answers that are ranked together, and pairs made of them
RECIPE = Config(
    beta=0.1,
    lr=1e-4,
    steps=18,
    batch_size=16,
    warmup=3,
    clip=1.0,
    layout="padded",
    quiet=True,
)
AT_ONCE = 128  # answers written together
CHUNK = 1024  # tokens whose logits are in memory together: 0.2 GB


class Answers(NamedTuple):
    """What a model wrote to prompts, the same number to each, in a row."""

    asked: Sequence[str]  # each prompt once
    prompts: list[list[int]]  # as the model read them, one a response
    responses: list[list[int]]
    words: list[str]
    rewards: Tensor  # (answers,)

    @property
    def texts(self) -> Texts:
        return pairs(self.prompts, self.responses)


class Speaker:
    """A model that writes answers to a task's prompts, and has them judged.

    model: float32; it writes as a copy in bfloat16 where that is quicker
    """

    def __init__(self, model: Transformer, tokenizer, end: int, task: Task):
        self.model = copy.deepcopy(model).bfloat16() if sixteen_bits_pay() else model
        self.tokenizer, self.end, self.task = tokenizer, end, task

    def write(self, asked: str, each: int, *, seed: int) -> Answers:
        """`each` answers to every prompt.

        asked: which prompts, "practice", "choosing" or "reported"; seed: of the answers
        """
        questions = self.task.prompts[asked]
        known = [self.task.ids(self.tokenizer, question) for question in questions]
        prompts = [ids for ids in known for _ in range(each)]
        random = torch.Generator(next(self.model.parameters()).device)
        random.manual_seed(seed)
        responses = [[]] * len(prompts)
        by_length = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        told = {"longest": self.task.longest, "end": self.end, "generator": random}
        for start in range(0, len(prompts), AT_ONCE):
            rows = by_length[start : start + AT_ONCE]
            tokens, lengths = sample(self.model, [prompts[r] for r in rows], **told)
            for row, ids, length in zip(rows, tokens, lengths.tolist(), strict=True):
                responses[row] = ids[:length].tolist()
        words = [self.tokenizer.decode(ids) for ids in responses]
        rewards = torch.tensor([self.task.judge(text) for text in words])
        return Answers(questions, prompts, responses, words, rewards.double())


def ranked_pairs(texts: Texts, rewards: Tensor, kept: int) -> Texts:
    """The best against the worst, the second against the second to last, and so on.

    texts: of one response each, all to one prompt in a row
    rewards: what they are ranked by, (groups, responses of each)
    kept: pairs of a group, at most half of its responses
    returns: chosen and rejected; a pair of equal rewards says nothing and is left out
    raises: ValueError if no pair is left, or kept is out of range

    >>> texts = pairs([[9]] * 4, [[0], [1], [2], [3]])
    >>> ranked_pairs(texts, torch.tensor([[0.0, 3, 1, 1]]), 2).responses.tolist()
    [[[1], [0]]]
    """
    if not 1 <= kept <= rewards.shape[1] // 2:
        raise ValueError(f"kept must be from 1 to half of a group, got {kept}")
    order = rewards.argsort(dim=1, descending=True, stable=True)
    order = order + rewards.shape[1] * torch.arange(len(rewards))[:, None]
    ends = torch.stack((order[:, :kept], order.flip(1)[:, :kept]), -1).flatten(0, 1)
    first, last = rewards.flatten()[ends].T
    ends = ends[first > last]
    if not len(ends):
        raise ValueError("rewards hold no group with two different ones")
    both = texts.responses[ends, 0], texts.lengths[ends, 0]
    return Texts(texts.prompts[ends[:, 0]], texts.prompt_lengths[ends[:, 0]], *both)


def improve(trunk: Trunk, answers: Answers, config: Config) -> tuple[LastBlocks, int]:
    """DPO of the last blocks on the ranked answers of the model itself.

    trunk: of the model, which stays as it is; answers: OF at a time are ranked
    config: with the padded layout
    returns: the trained blocks, and the number of pairs
    """
    texts = ranked_pairs(answers.texts, answers.rewards.view(-1, OF), KEPT)
    config = dataclasses.replace(config, bf16=sixteen_bits_pay())
    model = LastBlocks(trunk)
    ref = all_logps(model, texts, chunk=CHUNK, bf16=config.bf16)  # as it is trained
    return train(model, texts, config, ref=ref).model, len(texts)


def kl_of(model: LastBlocks, trunk: Trunk, answers: Answers) -> Tensor:
    """log π(y|x) − log π_ref(y|x) of a model's own answers, (answers,), nats.

    Their mean estimates KL(π‖π_ref). Both are scored in the same precision: the
    rounding of one alone would add tenths of a nat
    """
    both = (model, LastBlocks(trunk))
    told = {"chunk": CHUNK, "bf16": sixteen_bits_pay()}
    ours, theirs = (all_logps(m, answers.texts, **told)[:, 0] for m in both)
    return kl_estimates(ours, theirs)["k1"]


def best_of(rewards: Tensor, n: int) -> Tensor:
    """The reward of the best of every n in a row; at a KL of at most log n − (n − 1)/n.

    >>> best_of(torch.tensor([0.0, 2, 1, 1]), 2).tolist()
    [2.0, 1.0]
    """
    return rewards.view(-1, n).amax(1)


def by_prompt(values: Tensor, prompts: int) -> Interval:
    """The mean, and between what it lies with 95 % confidence, over prompts.

    values: as many of each prompt, in a row; answers to one prompt are alike, so the
        mean of each prompt is one observation
    prompts: how many there are, ≥ 2

    >>> [round(end, 2) for end in by_prompt(torch.tensor([1.0, 3, 2, 4]), 2)]
    [2.5, 1.52, 3.48]
    """
    means = values.double().view(prompts, -1).mean(1)
    error = 1.96 * means.std().item() / math.sqrt(prompts)
    mean = means.mean().item()
    return Interval(mean, mean - error, mean + error)


def first_words(answers: Answers) -> list[tuple[float, str]]:
    """The first answer to each prompt, after its reward, to be read."""
    each = len(answers.words) // len(answers.asked)
    first = zip(answers.rewards[::each].tolist(), answers.words[::each], strict=True)
    return [(reward, " ".join(words.split())) for reward, words in first]
