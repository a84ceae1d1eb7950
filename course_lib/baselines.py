"""What a run on sampled pairs is compared with: the loss without sampling, and RL.

Each function here says what one step of `training.fit` does.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib import validate
from course_lib.batches import Batch, Texts, collate, response_logps
from course_lib.preferences import reward_model_loss
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
]

Advance = Callable[[int, Callable[[Tensor], Tensor]], dict[str, Tensor]]


def expected_dpo_steps(
    model: nn.Module, sentences: SentenceWorld, world: World, beta: float
) -> Advance:
    """DPO on every pair there is, weighted by its chance, with the exact label odds.

    model: what is trained; world: of `sentences.exact(ref)`; beta: > 0
    returns: for `training.fit`
    """
    dtype = next(model.parameters()).dtype
    ref, rewards = world.ref.to(dtype), world.rewards.to(dtype)
    pairs = AllPairs(ref, rewards, sampler=ref)

    def advance(step, update):
        logits = sentences.log_policy(model)
        loss = pairs.loss(logits, torch.tensor(beta, dtype=dtype)).mean()
        return {"loss": loss.detach(), "gradient_norm": update(loss)}

    return advance


def imitation_steps(
    model: nn.Module, sentences: SentenceWorld, target: Tensor
) -> Advance:
    """Be the policy that is given, as far as the model can: no data, no preferences.

    minimise KL(target‖π), less the target's entropy

    target: probabilities, (prompts, responses)
    returns: for `training.fit`
    """
    target = target.to(next(model.parameters()).dtype)

    def advance(step, update):
        loss = -(target * sentences.log_policy(model)).sum(-1).mean()
        return {"loss": loss.detach(), "gradient_norm": update(loss)}

    return advance


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


def reward_model_steps(model: RewardModel, texts: Texts, rows: Callable[[int], Tensor]):
    """Fit Bradley–Terry rewards to pairs.

    texts: chosen and rejected responses; rows: which of them each step sees
    returns: for `training.fit`
    """

    def advance(step, update):
        batch = collate(texts.take(rows(step)), whole=True)
        chosen, rejected = model(batch).view(2, -1)
        loss = reward_model_loss(chosen, rejected)
        right = (
            (chosen > rejected).double() + (chosen >= rejected).double()
        ).mean() / 2
        return {
            "loss": loss.detach(),
            "gradient_norm": update(loss),
            "accuracy": right.detach(),
        }

    return advance


@torch.no_grad()
def reward_table(model: RewardModel, sentences: SentenceWorld) -> Tensor:
    """What the reward model thinks of every sentence, (prompts, responses), float64."""
    prompts, responses = sentences.rewards.shape
    found = []
    for prompt in range(prompts):
        for part in torch.arange(responses).split(2048):
            texts = sentences.texts(torch.full_like(part, prompt), part)
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
    sentences: SentenceWorld,
    rewards: Tensor,
    beta: float,
    *,
    samples: int,
    seed: int,
    updates: int = 4,
    clip: float = 0.2,
) -> Advance:
    """PPO on whole responses; with one update a step it is REINFORCE.

    maximise E[ min( ρA, clip(ρ, 1 ± clip) A ) ],  ρ = π_θ(y|x)/π_old(y|x) and
    A = r(x, y) − β log( π_old(y|x)/π_ref(y|x) ) less its mean over the prompt's samples

    model: what is trained; ref: frozen
    rewards: true or learned, (prompts, responses)
    beta: KL strength in reward per nat; samples: responses a step, shared out over the
        prompts; seed: of the sampling; updates: gradient steps on each set of samples
    returns: for `training.fit`
    source: Schulman et al. (2017), Eq. 7; Ziegler et al. (2019) for the KL
    """
    prompts = len(sentences.rewards)
    each = samples // prompts
    asked = torch.arange(prompts).repeat_interleave(each)
    ids = sentences.prompt_ids(asked)

    def advance(step, update):
        random = torch.Generator().manual_seed(1_000_003 * seed + step)
        tokens, lengths = sample(
            model, ids, longest=sentences.longest, end=sentences.end, generator=random
        )
        texts = Texts(ids, torch.ones_like(asked), tokens[:, None], lengths[:, None])
        batch = collate(texts)
        with torch.no_grad():
            old, theirs = response_logps(model, batch), response_logps(ref, batch)
            reward = rewards[asked, sentences.number(tokens)]
            value = (reward - beta * (old - theirs)).view(prompts, each)
            advantage = (value - value.mean(1, keepdim=True)).flatten().to(old)
        for _ in range(updates):
            loss = clipped_policy_loss(
                response_logps(model, batch), old, advantage, clip
            )
            norm = update(loss)
        return {
            "loss": loss.detach(),
            "gradient_norm": norm,
            "reward": reward.mean(),
            "kl": (old - theirs).mean(),
        }

    return advance
