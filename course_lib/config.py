"""What a training run depends on besides its model and its data."""

import argparse
import dataclasses
import inspect
import re
from collections.abc import Mapping

from course_lib import validate
from course_lib.variants import METHODS, LossSettings

__all__ = ["Config", "require"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that a run depends on besides its model and its data."""

    method: str = "dpo"  # a name of METHODS, in `run` of RUNS
    beta: float = 0.5  # KL strength in reward per nat; IPO's τ, ORPO's λ
    gamma: float = 0.5  # SimPO's target margin
    label_smoothing: float = 0.0  # cDPO and robust DPO
    nll_weight: float = 1.0  # CPO and DPO + NLL
    steps: int = 250  # updates of the model
    batch_size: int = 128  # pairs a step, of all processes together
    accumulate: int = 1  # equal parts of a step that go through the model in turn
    lr: float = 2e-3  # at the start; it falls in a line to zero
    warmup: int = 0  # steps in which it rises first
    clip: float = 5.0  # the gradient's norm is held to this
    weight_decay: float = 0.0  # of AdamW
    seed: int = 0  # of the pairs and of their order
    world: str = "S"  # what `run` trains in: "S" or "L"
    pairs: int = 10_000  # how many comparisons it asks for
    yardstick: float = 0.0  # `run` measures against π* of this β; 0: see `optimum_beta`
    label_noise: float = 0.0  # the share of their labels that is flipped
    samples: int = 256  # responses that PPO and REINFORCE write a step
    layout: str = "shared"  # how responses become rows
    chunk: int = 0  # response tokens whose logits are held at a time; 0: all
    recompute: bool = False  # compute blocks again for the gradient: less memory
    bf16: bool = False  # matrix products in bfloat16 on a CPU too
    compile: bool = False  # the blocks, before the first step: a minute, then faster
    every: int = 50  # steps between checkpoints
    checkpoint: str = ""  # a file to continue from and to write; "": none
    quiet: bool = False  # no progress bar

    @property
    def beta_prices_kl(self) -> bool:
        """Is beta reward per nat? Then π* of that beta is what the method aims at."""
        return self.method not in METHODS or METHODS[self.method].beta_prices_kl

    @property
    def optimum_beta(self) -> float:
        """The β of the π* that `run` measures against.

        `yardstick`, or else `beta` if it is reward per nat, and 0.5 if it is not: IPO's
        τ, ORPO's λ, the β of SimPO, CPO and length-normalised DPO.
        """
        return self.yardstick or (self.beta if self.beta_prices_kl else 0.5)

    @property
    def loss_settings(self) -> LossSettings:
        return LossSettings(
            self.beta, self.gamma, self.label_smoothing, self.nll_weight
        )


def add_settings(
    parser: argparse.ArgumentParser,
    settings: type,
    choices: Mapping[str, str],
    *,
    first: str = "",
):
    """Let a command be told all fields of a dataclass; the comment beside each is help.

    choices: what a field may be, said after its comment
    first: the field that is told without its name
    """
    source = inspect.getsource(settings)
    words = dict(re.findall(r"^    (\w+): .*  # (.+)", source, re.M))
    for field in dataclasses.fields(settings):
        name, flag = field.name, "--" + field.name.replace("_", "-")
        said = ": ".join([words[name], *filter(None, [choices.get(name)])])
        if name == first:
            parser.add_argument(name, metavar=name.upper(), help=said)
        elif field.default is dataclasses.MISSING:
            parser.add_argument(flag, required=True, metavar="", help=said)
        elif isinstance(field.default, bool):
            parser.add_argument(flag, action="store_true", help=said)
        else:
            known = {"type": type(field.default), "default": field.default}
            parser.add_argument(flag, **known, metavar="", help=said)


def require(config: Config):
    """Refuse settings out of their range, and loss settings that would change nothing.

    raises: ValueError that names the setting

    >>> require(Config(method="dpo", gamma=2.0))
    Traceback (most recent call last):
    ValueError: gamma is 2.0, and dpo does not read it (read by: simpo): leave it out
    """
    for name in ("lr", "batch_size", "accumulate", "every", "samples", "pairs"):
        validate.number(name, getattr(config, name))
    if not config.clip > 0:  # infinity: gradients as they are
        raise ValueError(f"clip must be above 0, got {config.clip}")
    for name in ("steps", "warmup", "weight_decay", "chunk", "yardstick"):
        validate.fraction(name, getattr(config, name))
    if config.accumulate > 1 and config.method == "kto":
        raise ValueError(
            "accumulate must be 1 for kto: its reference point is of a whole batch"
        )
    usual = LossSettings()
    reads = METHODS[config.method].reads if config.method in METHODS else ("beta",)
    for name, value in config.loss_settings._asdict().items():
        if name not in reads and value != getattr(usual, name):
            others = [n for n, method in METHODS.items() if name in method.reads]
            raise ValueError(
                f"{name} is {value}, and {config.method} does not read it "
                f"(read by: {', '.join(others)}): leave it out"
            )
