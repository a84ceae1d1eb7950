"""The pairs of a planted run: who writes the answers, who judges, what goes wrong."""

import torch

from course_lib.batches import Texts, sentence_texts
from course_lib.failures.plan import Plan
from course_lib.worlds import Preferences, SentenceWorld, World, sample_preferences

__all__ = ["DATA", "asked", "texts_of"]

DATA = {  # what `Plan.data` may be
    "": "answers of the sampler, judged by Bradley–Terry",
    "certain": "the answer of the higher reward always wins",
    "copies": "eight different pairs, again and again",
    "gibberish": "every rejected answer is three random words",
    "leaked": "the held-out pairs are among those that are trained on",
    "swapped": "the columns of chosen and rejected are exchanged",
    "equal sides": "the rejected answer is the chosen one, cut from the same text",
    "equal lengths": "pairs whose answers have as many words",
    "same opening": "pairs that begin with the same word",
    "after opening": "the same pairs, and that word is part of the prompt",
    "no end": "the end token is left out of every answer",
}
CERTAIN = 1e6  # times the true rewards: no doubt is left
TINY = 8  # different pairs
STRANGE = 73  # the number of the first sentence of three words
OVERSAMPLE = 8  # how many pairs are drawn for each one of a kind


def asked(
    sentences: SentenceWorld, world: World, plan: Plan, count: int, seed: int
) -> Preferences:
    """As many pairs as wanted, made as a plan says.

    world: with the true reference and rewards; count: ≥ 1
    seed: the same pairs again
    returns: Preferences, by number
    raises: ValueError if the kind is unknown, or too rare for so many
    """
    if plan.data not in DATA:
        raise ValueError(f"data must be one of {', '.join(DATA)}, got {plan.data!r}")
    words = (sentences.tokens < sentences.end).sum(-1)
    told = {"label_noise": plan.label_noise, "seed": seed}
    if plan.bonus:
        told["bonus"] = plan.bonus * words
    if plan.sampler == "anything":
        told["sampler"] = torch.full_like(world.ref, 1 / world.ref.shape[1])
    if plan.data == "certain":
        world = world._replace(rewards=CERTAIN * world.rewards)
    if plan.data in ("equal lengths", "same opening", "after opening", "no end"):
        many = sample_preferences(world, OVERSAMPLE * count, **told)
        return _kept(sentences, plan.data, many, count)
    found = sample_preferences(world, count, **told)
    if plan.data == "copies":
        return Preferences(*(side[torch.arange(count) % TINY] for side in found))
    if plan.data == "swapped":
        return Preferences(found.prompts, found.rejected, found.chosen)
    if plan.data == "gibberish":
        return _with_gibberish(sentences, found, seed)
    return found


def _kept(
    sentences: SentenceWorld, kind: str, found: Preferences, count: int
) -> Preferences:
    """The first pairs of a kind, as many as wanted."""
    words = (sentences.tokens < sentences.end).sum(-1)
    one, other = words[found.chosen], words[found.rejected]
    keep = torch.minimum(one, other) > 0  # something is left without the first word
    if kind == "equal lengths":
        keep = one == other
    elif kind != "no end":
        first = sentences.tokens[:, 0]
        keep &= first[found.chosen] == first[found.rejected]
    if keep.sum() < count:
        raise ValueError(f"only {keep.sum()} pairs are of the kind {kind!r}")
    return Preferences(*(side[keep][:count] for side in found))


def _with_gibberish(
    sentences: SentenceWorld, found: Preferences, seed: int
) -> Preferences:
    """Rejected answers of random words, none of them the chosen one."""
    random = torch.Generator().manual_seed(seed)
    kinds = len(sentences.tokens) - STRANGE
    strange = torch.randint(kinds, found.chosen.shape, generator=random)
    same = strange + STRANGE == found.chosen
    strange = STRANGE + torch.where(same, (strange + 1) % kinds, strange)
    return found._replace(rejected=strange)


def texts_of(sentences: SentenceWorld, pairs: Preferences, plan: Plan) -> Texts:
    """Token ids of the pairs, and which of them the planted code counts."""
    texts = sentence_texts(sentences, *pairs)
    if plan.data == "equal sides":
        same = texts.responses[:, :1].expand_as(texts.responses)
        return texts.replace(responses=same, lengths=texts.lengths[:, :1].expand(-1, 2))
    if plan.data == "after opening":
        opening, rest = texts.responses[:, 0, :1], texts.responses[:, :, 1:]
        return texts.replace(
            prompts=torch.cat((texts.prompts, opening), 1),
            prompt_lengths=texts.prompt_lengths + 1,
            responses=rest,
            lengths=texts.lengths - 1,
        )
    if plan.data == "no end":
        ended = (texts.responses == sentences.end).any(-1)
        return texts.replace(lengths=texts.lengths - ended.long())
    return texts
