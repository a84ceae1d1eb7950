"""The trainer: one loop for all that is trained here, in a notebook or under torchrun.

    run(Config(method="dpo", beta=0.5))                        # in a notebook
    python3 -m course_lib torchrun --nproc-per-node 2 -m course_lib.training --beta 0.5

`preference_steps` goes from a batch of texts to a loss, `fit` from losses to a trained
model. A step's batch depends on the seed and the step's number alone, and a batch is
split among processes: a run that was interrupted, or spread over processes, is the same
run.
"""

import argparse
import contextlib
import copy
import functools
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as computed_again
from tqdm.auto import tqdm

from course_lib import _moved, baselines, validate
from course_lib.batches import (
    LAYOUTS,
    Texts,
    batch_order,
    collate,
    response_logps,
    sentence_texts,
    texts_logps,
    with_mismatched,
)
from course_lib.checkpoint import Checkpoint, fingerprint
from course_lib.config import Config, add_settings, require
from course_lib.distributed import (
    average_gradients,
    mean_of_all,
    one_of_many,
    place,
    precision,
    processes,
    rank,
    sum_of_all,
    threads,
)
from course_lib.losses import kto_loss
from course_lib.metrics import exact_metrics
from course_lib.policies import optimal_policy
from course_lib.transformer import Block, load
from course_lib.variants import (
    METHODS,
    REFERENCE_FREE,
    PairLogps,
    measures,
    preference_losses,
)
from course_lib.worlds import SentenceWorld, World, sample_preferences, world_l, world_s

__all__ = ["Log", "all_logps", "fit", "main", "reference_logps", "run", "train"]

Watch = Callable[[nn.Module], dict[str, float]]
After = Callable[["Log", int], bool]


class Log(NamedTuple):
    """What a run left: the trained model, and what was measured at each step."""

    model: nn.Module
    history: dict[str, list[float]]  # loss, gradient_norm and more; an entry a step
    watched: list[dict[str, float]]  # what `watch` answered, with the steps done before


def train(
    model: nn.Module,
    texts: Texts,
    config: Config,
    *,
    ref: nn.Module | Tensor | None = None,
    watch: Watch | None = None,
    watch_at: tuple[int, ...] = (),
    after: After | None = None,
) -> Log:
    """Train a model on responses (SFT) or on preferences, in place.

    model: with `features` and `head`, as in `course_lib.transformer`; it goes to the
        GPU, if there is one and it is no toy
    texts: one response a prompt for the method "sft", and for "kto" if they have thumbs
        (`batches.with_thumbs`); chosen and rejected for all
    config: a Config
    ref: the frozen reference, or the log-probs that it gives these responses, as from
        `all_logps`: (examples, sides); none for the methods of REFERENCE_FREE
    watch: asked about the model after the steps of `watch_at`, 0 being the start
    after: called with the log and the steps done, at the start and after each step;
        True ends the run
    returns: a Log
    raises: ValueError for a reference that is the model, a missing reference, texts
        without a second side, too few texts for a batch, a setting that the method
        does not read, a model in which nothing is trained; FloatingPointError at a
        gradient that is not finite, with the model as the update before left it
    """
    for each in (model, ref):
        if isinstance(each, nn.Module):
            each.to(place(model))
    losses = preference_steps(model, texts, config, ref)
    reads = {"data": texts, "ref": None if config.method in REFERENCE_FREE else ref}
    looks = {"watch": watch, "watch_at": watch_at, "after": after}
    return fit(model, losses, config, **reads, **looks)


def preference_steps(
    model: nn.Module, texts: Texts, config: Config, ref: nn.Module | Tensor | None
) -> baselines.StepLosses:
    """For `fit`: from a batch to its loss, for SFT and for every preference method."""
    _require_sides(texts, config)
    thumbs = config.method == "kto" and texts.desirable is not None
    single = config.method == "sft" and texts.lengths.shape[1] == 1
    rows_of = batch_order(texts, config.batch_size, config.seed)
    texts = responses_read(texts, config)
    ref_logps = _ref_logps(model, texts, config, ref)
    device = next(model.parameters()).device

    def losses(step):
        # The same batch whatever ran before, and of it this process's share
        rows = rows_of(step)[rank() :: processes()]
        if config.accumulate == 1:
            yield loss_of(rows)
        else:
            parts = rows.tensor_split(config.accumulate)
            yield [functools.partial(loss_of, part) for part in parts]

    def loss_of(rows):
        batch = collate(texts.take(rows), config.layout).to(device)

        # log π(y|x) of whole responses: all chosen ones, then all rejected ones
        logps = response_logps(model, batch, chunk=config.chunk or None)
        logps, lengths = logps.view(-1, len(rows)), batch.lengths.view(-1, len(rows))
        if single:  # nats a response, not a token: the sum is what π(y|x) is
            return -logps[0].mean(), {}

        # The reference is frozen, so its log-probs were computed once, for all steps.
        ref_rows = ref_logps[rows].T.to(logps)
        point, more = None, {}
        if config.method == "kto":  # its zero: responses to other prompts, no gradient
            shift = mean_of_all((logps[-1] - ref_rows[-1]).detach().mean())
            point = shift.clamp(min=0)
            more = {"mismatched_logratio": shift, "reference_point": point}
        if thumbs:
            good = texts.desirable[rows].to(device)
            asked = logps[0], ref_rows[0], good, point, config.beta
            return kto_loss(*asked), more
        pairs = PairLogps(*logps[:2], *ref_rows[:2], *lengths[:2], point)
        loss = preference_losses(config.method, pairs, config.loss_settings).mean()
        return loss, {**measures(pairs), **more}

    return losses


def _require_sides(texts: Texts, config: Config):
    """Are there responses enough for the method, and batches that can be shared?"""
    validate.choice("method", config.method, tuple(METHODS))
    require(config)
    alone = config.method == "sft" or (
        config.method == "kto" and texts.desirable is not None
    )
    if texts.lengths.shape[1] < (1 if alone else 2):
        raise ValueError(
            f"texts hold no rejected responses: {config.method} needs them"
        )
    if config.batch_size % (processes() * config.accumulate):
        parts = "" if config.accumulate == 1 else f" in {config.accumulate} parts each"
        raise ValueError(
            f"batch_size {config.batch_size} is not shared by {processes()} processes"
            + parts
        )


def _ref_logps(
    model: nn.Module, texts: Texts, config: Config, ref: nn.Module | Tensor | None
) -> Tensor:
    """What the reference gives the responses; zeros where the method has none."""
    if config.method in REFERENCE_FREE:
        return torch.zeros(texts.lengths.shape)
    if ref is None:
        raise ValueError(f"ref is missing: {config.method} compares with a reference")
    if torch.is_tensor(ref):
        need, got = tuple(texts.lengths.shape), tuple(ref.shape)
        if got != need:
            raise ValueError(f"ref has log-probs of shape {got}, the texts need {need}")
        return ref
    return reference_logps(ref, texts, model=model, **scoring_settings(config))


def responses_read(texts: Texts, config: Config) -> Texts:
    """The responses that a method reads: KTO's mismatched ones are a side more."""
    return with_mismatched(texts) if config.method == "kto" else texts


def scoring_settings(config: Config) -> dict:
    """What `all_logps` is told, so that it scores as the trainer does."""
    return {"layout": config.layout, "chunk": config.chunk, "bf16": config.bf16}


def fit(
    model: nn.Module,
    losses: baselines.StepLosses,
    config: Config,
    *,
    data: Texts | None = None,
    ref: nn.Module | Tensor | None = None,
    watch: Watch | None = None,
    watch_at: tuple[int, ...] = (),
    after: After | None = None,
) -> Log:
    """The training loop: from losses to a trained model.

    losses: called with a step's number; yields the losses of that step, each with a
        dict of what else to log, and computes the next one after an update by the last.
        A list of functions in place of a loss: each computes that of an equal part,
        and the update is by their mean
    data, ref: what `losses` reads, so that a checkpoint is not continued with other
        data or another reference
    model, config, watch, watch_at, after, returns, raises: as for `train`
    """
    require(config)
    trained = _trained(model)
    optimiser = torch.optim.AdamW(
        trained, config.lr, weight_decay=config.weight_decay, fused=True
    )
    checkpoint = Checkpoint(config, model, optimiser, data, ref)
    done, known = checkpoint.resume()
    log = Log(model, *known)
    losses = _moved.yielding(losses)

    with _progress(config, done) as bar, _settings(model, config):
        if after is not None and after(log, done):
            return log
        for step in range(done, config.steps):
            _watched(log, watch, watch_at, step)
            set_learning_rate(optimiser, config, step)

            # DPO has one loss a step; PPO has four, each computed after an update.
            for update in losses(step):
                optimiser.zero_grad(set_to_none=True)
                loss, measured = _backward(update)
                # Each process has seen only its share of the batch.
                average_gradients(model)
                # One steep batch must not undo what many others have done.
                norm = nn.utils.clip_grad_norm_(trained, config.clip)
                _require_finite(step, loss, norm)
                optimiser.step()
                logged = {"loss": loss.detach(), "gradient_norm": norm, **measured}

            for name, value in logged.items():
                log.history.setdefault(name, []).append(float(mean_of_all(value)))
            bar.update()
            ended = after is not None and after(log, step + 1)
            if ended or (step + 1) % config.every == 0:
                checkpoint.save(step + 1, log[1:])
            if ended:
                return log
        _watched(log, watch, watch_at, config.steps)
    return log


def _trained(model: nn.Module) -> list[nn.Parameter]:
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ValueError(
            "model has no parameter to train: requires_grad is False for all of them"
        )
    return trained


@contextlib.contextmanager
def _settings(model: nn.Module, config: Config) -> Iterator[None]:
    """Compiled, its activations recomputed, in bfloat16: as the config has it."""
    if config.compile:
        compile_blocks(model)
    again = recomputed(model) if config.recompute else contextlib.nullcontext()
    with threads(model), precision(model, config.bf16), again:
        yield


def _backward(update) -> tuple[Tensor, dict[str, Tensor]]:
    """Gradients of a loss, or of the mean of equal parts, one in memory at a time."""
    if isinstance(update, tuple):
        update[0].backward()
        return update
    seen = []
    for part in update:
        loss, measured = part()
        (loss / len(update)).backward()
        seen.append({"loss": loss.detach(), **measured})
    means = {name: torch.stack([row[name] for row in seen]).mean() for name in seen[0]}
    return means.pop("loss"), means


def set_learning_rate(optimiser, config: Config, step: int):
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(config, step)


def learning_rate(config: Config, step: int) -> float:
    """The lower of a line that rises in `warmup` steps and one that falls to zero."""
    rising = (step + 1) / (config.warmup + 1)
    falling = (config.steps - step) / config.steps
    return config.lr * min(1.0, rising, falling)


def _require_finite(step: int, loss: Tensor, norm: Tensor):
    if not norm.isfinite():  # the mean over processes: all of them stop
        raise FloatingPointError(
            f"step {step}: loss {loss.item():.4g}, gradient {norm.item():.4g}; "
            "the model is as the step before left it"
        )


def _progress(config: Config, done: int) -> tqdm:
    hidden = config.quiet or rank() > 0
    return tqdm(total=config.steps, initial=done, desc=config.method, disable=hidden)


def compile_blocks(model: nn.Module):
    for block in filter(lambda part: isinstance(part, Block), model.modules()):
        block.compile(dynamic=True)


@contextlib.contextmanager
def recomputed(model: nn.Module) -> Iterator[None]:
    """Activation checkpointing: of each block only its input is kept for the gradient.

    model: with `blocks`, whose insides are computed a second time when they are needed
    raises: ValueError for a model without blocks
    """
    blocks = list(getattr(model, "blocks", ()))
    if not blocks:
        raise ValueError("recompute needs a model with blocks, and this one has none")
    for block in blocks:
        block.forward = functools.partial(
            computed_again, block.forward, use_reentrant=False
        )
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def _watched(log: Log, watch: Watch | None, watch_at: tuple[int, ...], steps: int):
    if watch and steps in watch_at:
        with torch.no_grad():
            log.watched.append({"steps": steps, **watch(log.model)})


def reference_logps(
    ref: nn.Module,
    texts: Texts,
    *,
    model: nn.Module | None = None,
    layout: str = "padded",
    chunk: int = 0,
    bf16: bool = False,
) -> Tensor:
    """Log-probs of all responses under the frozen reference, computed once.

    They are remembered for this reference (its classes, settings and weights) and these
    texts; change any of it and they are computed again. The reference is in evaluation
    mode: dropout would add noise to all that is compared with it.

    ref, texts: as for `train`; model: what will be trained, to refuse it as `ref`
    layout, chunk, bf16: as for `all_logps`
    returns: nats, (examples, sides), on the CPU
    raises: ValueError if ref is the model, or shares a parameter with it that is
        trained; frozen ones, as under an adapter, may be shared
    """
    if model is not None:
        trained = {p.data_ptr() for p in model.parameters() if p.requires_grad}
        if trained & {p.data_ptr() for p in ref.parameters()}:
            raise ValueError("ref shares trained parameters with model: copy it first")
    # types: a class that was defined anew
    key = (fingerprint(ref, texts), bf16, *map(type, ref.modules()))
    if key not in _REFERENCE_CACHE:
        logps = all_logps(ref, texts, layout=layout, chunk=chunk, bf16=bf16)
        while len(_REFERENCE_CACHE) >= 8:
            _REFERENCE_CACHE.pop(next(iter(_REFERENCE_CACHE)))
        _REFERENCE_CACHE[key] = logps
    return _REFERENCE_CACHE[key]


def all_logps(
    model: nn.Module,
    texts: Texts,
    *,
    layout: str = "padded",
    chunk: int = 0,
    bf16: bool = False,
) -> Tensor:
    """Log-probs of all responses, without gradient; each process scores its share.

    model, texts: as for `train`
    layout: of batches.LAYOUTS, by which the numbers differ in their last digits only
    chunk: response tokens whose logits are held at a time; 0: all of a batch
    bf16: matrix products in bfloat16, as where the model is trained
    returns: nats, (examples, sides), on the CPU, the same in every process
    """
    total = texts.prompt_lengths + texts.lengths.sum(1)
    few = max(1, 8_192 // int(total.max()))  # what a CPU's cache holds
    mine = total.argsort()[rank() :: processes()]
    asked = {"layout": layout, "chunk": chunk or None}
    exact = torch.promote_types(next(model.parameters()).dtype, torch.float32)
    logps = torch.zeros(texts.lengths.shape, dtype=exact)
    if len(mine):
        with precision(model, bf16):
            found = texts_logps(model, texts.take(mine), few, **asked)
        logps[mine] = found.to(exact)
    return sum_of_all(logps)


_REFERENCE_CACHE: dict[tuple, Tensor] = {}  # what `reference_logps` remembers


RUNS = (*METHODS, "expected", "imitate", "ppo", "ppo_learned", "reinforce")
WORLDS = {"S": world_s, "L": world_l}


def run(config: Config, *, watch_at: tuple[int, ...] | None = None) -> Log:
    """Train the reference of a world by any method, and measure it exactly.

    config: its method is one of METHODS, on pairs that the reference wrote; "expected",
        DPO's loss over all pairs without sampling; "imitate", π* itself as the target;
        "ppo" or "reinforce" on the true reward; "ppo_learned" on a reward model of the
        same pairs
    watch_at: after how many steps to measure; None for the start and the end
    returns: a Log; `watched` has the `exact_metrics` against the π* of
        `config.optimum_beta`, which is among them as `yardstick`
    raises: ValueError for an unknown method or world, or as `train`

    >>> log = run(Config(method="dpo", steps=2, quiet=True))
    >>> round(log.history["loss"][0], 4)                              # ln 2
    0.6931
    """
    validate.choice("method", config.method, RUNS)
    validate.choice("world", config.world, tuple(WORLDS))
    require(config)
    sentences = WORLDS[config.world]()
    ref = load(config.world).double()  # a run in float32 depends on the processor
    world, model = sentences.exact(ref), copy.deepcopy(ref)
    asked = {"seed": config.seed, "label_noise": config.label_noise}
    texts = sentence_texts(sentences, *sample_preferences(world, config.pairs, **asked))

    def watch(model: nn.Module) -> dict[str, float]:
        policy = sentences.exact(model).ref
        beta = config.optimum_beta
        return {**exact_metrics(world, policy, beta), "yardstick": beta}

    at = (0, config.steps) if watch_at is None else watch_at
    looks = {"watch": watch, "watch_at": at}
    if config.method in METHODS:
        return train(model, texts, config, ref=ref, **looks)
    losses = _baseline_steps(config, model, ref, sentences, world, texts)
    return fit(model, losses, config, **looks)


def _baseline_steps(
    config: Config,
    model: nn.Module,
    ref: nn.Module,
    sentences: SentenceWorld,
    world: World,
    texts: Texts,
) -> baselines.StepLosses:
    """What a method of RUNS that does not train on the pairs minimises."""
    if config.method == "expected":
        return baselines.expected_dpo_steps(model, sentences, world, config.beta)
    if config.method == "imitate":
        best = optimal_policy(world.ref, world.rewards, config.beta)
        return baselines.imitation_steps(model, sentences, best)
    rewards = world.rewards
    if config.method == "ppo_learned":
        judge = baselines.RewardModel(copy.deepcopy(ref))
        once = Config(seed=config.seed, quiet=True)
        rows_of = batch_order(texts, once.batch_size, once.seed)
        fit(judge, baselines.reward_model_steps(judge, texts, rows_of), once)
        rewards = baselines.reward_table(judge, sentences)
    each = config.samples // len(rewards)
    if not each:
        raise ValueError(
            f"samples must be at least {len(rewards)}, one a prompt: {config.samples}"
        )
    rollouts = baselines.sentence_rollouts(
        model, sentences, rewards, each=each, seed=config.seed
    )
    updates = 1 if config.method == "reinforce" else 4
    return baselines.policy_gradient_steps(
        model, ref, rollouts, config.beta, updates=updates
    )


def main(argv: list[str] | None = None) -> int:
    """Train a policy in an exact world and say how far from the optimum it ends."""
    shape = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(
        description=main.__doc__, formatter_class=shape, allow_abbrev=False
    )
    choices = {"method": ", ".join(RUNS), "layout": ", ".join(LAYOUTS)}
    add_settings(parser, Config, choices)
    config = Config(**vars(parser.parse_args(argv)))
    try:
        with one_of_many():
            log = run(config)
            if rank() == 0:
                for look in log.watched:
                    print(", ".join(f"{name} {look[name]:.6g}" for name in look))
    except (ValueError, FileNotFoundError, FloatingPointError) as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = "with --checkpoint FILE the same command goes on from its last one"
        print(f"Interrupted; {again}.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
