"""What a run on sampled pairs is compared with: the loss without sampling, and RL.

Each `…_steps` here returns what `training.fit` minimises: a function that is called
with a step's number and yields the losses of that step, each with what else to log.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from course_lib import validate
from course_lib.batches import Batch, Texts, collate, response_logps, sentence_texts
from course_lib.preferences import reward_model_loss, share_preferred
from course_lib.tabular import AllPairs
from course_lib.transformer import sample
from course_lib.worlds import SentenceWorld, World

__all__ = [
    "RewardModel",
    "clipped_policy_loss",
    "expected_dpo_steps",
    "imitation_steps",
    "policy_gradient_steps",
    "reward_model_steps",
    "reward_table",
    "sentence_rollouts",
]

StepLosses = Callable[[int], Iterator[tuple[Tensor, dict[str, Tensor]]]]
Rollouts = Callable[[int], tuple[Texts, Tensor]]  # of a step: responses, rewards


def expected_dpo_steps(
    model: nn.Module, sentences: SentenceWorld, world: World, beta: float
) -> StepLosses:
    """DPO on every pair there is, weighted by its chance, with the exact label odds.

    model: what is trained; world: of `sentences.exact(ref)`; beta: > 0
    returns: for `training.fit`
    """
    dtype = next(model.parameters()).dtype
    ref, rewards = world.ref.to(dtype), world.rewards.to(dtype)
    pairs = AllPairs(ref, rewards, sampler=ref)

    def losses(step):
        logits = sentences.log_policy(model)
        yield pairs.loss(logits, torch.tensor(beta, dtype=dtype)).mean(), {}

    return losses


def imitation_steps(
    model: nn.Module, sentences: SentenceWorld, target: Tensor
) -> StepLosses:
    """Be the policy that is given, as far as the model can: no data, no preferences.

    minimise KL(target‖π), less the target's entropy

    target: probabilities, (prompts, responses)
    returns: for `training.fit`
    """
    target = target.to(next(model.parameters()).dtype)

    def losses(step):
        yield -(target * sentences.log_policy(model)).sum(-1).mean(), {}

    return losses


class RewardModel(nn.Module):
    """A transformer that says one number at a response's last token.

    It begins without an opinion: 0 for every response

    body: a transformer, such as a copy of the reference
    """

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body
        self.value = nn.Parameter(torch.zeros_like(body.norm.weight))

    def forward(self, batch: Batch) -> Tensor:
        """Rewards of all responses of a batch, (responses,)."""
        known = self.body.features(
            batch.ids, positions=batch.positions, attend=batch.attend, at=batch.ends
        )
        return known @ self.value


def reward_model_steps(
    model: RewardModel, texts: Texts, rows: Callable[[int], Tensor]
) -> StepLosses:
    """Fit Bradley–Terry rewards to pairs.

    texts: chosen and rejected responses; rows: which of them each step sees
    returns: for `training.fit`
    """

    def losses(step):
        batch = collate(texts.take(rows(step)), whole=True)
        chosen, rejected = model(batch).view(2, -1)
        accuracy = share_preferred((chosen - rejected).detach())
        yield reward_model_loss(chosen, rejected), {"accuracy": accuracy}

    return losses


@torch.no_grad()
def reward_table(model: RewardModel, sentences: SentenceWorld) -> Tensor:
    """What the reward model thinks of every sentence, (prompts, responses), float64."""
    prompts, responses = sentences.rewards.shape
    found = []
    for prompt in range(prompts):
        for part in torch.arange(responses).split(2048):
            texts = sentence_texts(sentences, torch.full_like(part, prompt), part)
            found.append(model(collate(texts, whole=True)))
    return torch.cat(found).view(prompts, responses).double()


def clipped_policy_loss(
    logps: Tensor, old_logps: Tensor, advantages: Tensor, clip: float = 0.2
) -> Tensor:
    """PPO's loss on whole responses: a gain, but none for going further than `clip`.

    −mean min( ρA, clip(ρ, 1 − clip, 1 + clip) A ),  ρ = π_θ(y|x)/π_old(y|x)

    logps: of the policy, sums, (batch,); old_logps: of the policy that sampled
    advantages: reward less its baseline, (batch,); clip: in (0, 1)
    returns: a scalar; its gradient at ρ = 1 is REINFORCE's
    raises: ValueError on bad shapes or a clip outside its range
    source: Schulman et al. (2017), Eq. 7

    >>> logps, zero, one = torch.tensor([0.6931472]), torch.zeros(1), torch.ones(1)
    >>> clipped_policy_loss(logps, zero, one), clipped_policy_loss(logps, zero, -one)
    (tensor(-1.2000), tensor(2.))
    """
    validate.batch(logps=logps, old_logps=old_logps, advantages=advantages)
    validate.number("clip", clip, below=1.0)
    ratio = (logps - old_logps).exp()
    kept = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages, kept * advantages).mean()


def policy_gradient_steps(
    model: nn.Module,
    ref: nn.Module,
    rollouts: Rollouts,
    beta: float,
    *,
    updates: int = 4,
    leave_one_out: bool = False,
) -> StepLosses:
    """PPO on whole responses; with one update a step it is REINFORCE.

    maximise E[ min( ρA, clip(ρ, 1 ± 0.2) A ) ],  ρ = π_θ(y|x)/π_old(y|x) and
    A = r(x, y) − β log( π_old(y|x)/π_ref(y|x) ) less its mean over the prompt's samples

    model: what is trained; ref: frozen; beta: KL strength in reward per nat
    rollouts: called with a step's number; the responses that the model writes then, all
        to one prompt in a row, and their rewards, (prompts, responses to each)
    updates: gradient steps on each set of samples
    leave_one_out: the mean is over the prompt's other samples
    returns: for `training.fit`
    source: Schulman et al. (2017), Eq. 7; Ziegler et al. (2019) for the KL; Kool et al.
        (2019) for the mean over the others
    """

    def losses(step):
        texts, rewards = rollouts(step)
        batch = collate(texts)
        logps = response_logps(model, batch)  # the policy is still the one that wrote
        with torch.no_grad():
            old, theirs = logps.detach(), response_logps(ref, batch)
            value = rewards - beta * (old - theirs).view_as(rewards)
            advantages = value - value.mean(1, keepdim=True)
            if leave_one_out:
                each = rewards.shape[1]
                advantages = advantages * each / (each - 1)
            advantages = advantages.flatten().to(old)
        measured = {"reward": rewards.mean(), "kl": (old - theirs).mean()}
        yield clipped_policy_loss(logps, old, advantages), measured
        for _ in range(updates - 1):
            logps = response_logps(model, batch)
            yield clipped_policy_loss(logps, old, advantages), measured

    return losses


def sentence_rollouts(
    model: nn.Module,
    sentences: SentenceWorld,
    rewards: Tensor,
    *,
    each: int,
    seed: int,
) -> Rollouts:
    """What a model writes in a world of sentences, for `policy_gradient_steps`.

    rewards: true or learned, (prompts, responses); each: responses to each prompt
    seed: of the sampling, which depends on it and on the step alone
    """
    asked = torch.arange(len(rewards)).repeat_interleave(each)
    ids = sentences.prompt_ids(asked)

    def rollouts(step):
        random = torch.Generator().manual_seed(1_000_003 * seed + step)
        tokens, _ = sample(
            model, ids, longest=sentences.longest, end=sentences.end, generator=random
        )
        said = sentences.number(tokens)
        earned = rewards[asked, said].view(-1, each)
        return sentence_texts(sentences, asked, said), earned

    return rollouts
