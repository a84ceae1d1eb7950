"""What a run leaves while it is at work: log, samples, evaluations, the best weights.

Log and samples are made from the trainer's `Log` alone, so a run that is continued
writes the same files as one that was never interrupted. The columns have the names that
TRL gives them, since every tool reads those.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.batches import Texts, batch_order
from course_lib.config import Config
from course_lib.distributed import processes, rank, sum_of_all
from course_lib.losses import kto_loss
from course_lib.training import Log, all_logps, learning_rate, scoring_settings
from course_lib.variants import PairLogps, measures, preference_losses
from course_lib.workspace import write_whole

__all__ = ["Record", "evaluate"]


def evaluate(
    model: nn.Module, texts: Texts, ref: Tensor, config: Config
) -> dict[str, float]:
    """Held-out loss, rewards and accuracy, over all examples at once.

    texts: as the method reads them; ref: their log-probs under the reference
    returns: by the log's names, each beginning with eval_
    """
    logps, point = all_logps(model, texts, **scoring_settings(config)), None
    ref = ref.to(logps)
    if config.method == "kto":
        point = (logps[:, -1] - ref[:, -1]).mean().clamp(min=0)
    if texts.desirable is not None:
        loss = kto_loss(logps[:, 0], ref[:, 0], texts.desirable, point, config.beta)
        return {"eval_loss": loss.item()}
    sides = [part[:, side] for part in (logps, ref, texts.lengths) for side in (0, 1)]
    scores = PairLogps(*sides, point)
    loss = preference_losses(config.method, scores, config.loss_settings).mean()
    seen = {name: value.item() for name, value in measures(scores).items()}
    named = {"loss": loss.item()}
    named |= _columns(seen, ref[:, :2].mean(0).tolist(), config.beta)
    return {f"eval_{name}": value for name, value in named.items()}


def _columns(seen: dict[str, float], ref: list[float], beta: float) -> dict[str, float]:
    """Rewards and log-probs, under TRL's names, from mean log-ratios."""
    chosen, rejected = seen["chosen_logratio"], seen["rejected_logratio"]
    rewards = {"chosen": chosen, "rejected": rejected, "margins": chosen - rejected}
    return {
        # 5 digits: where policy and reference agree, rounding is not shown as a reward
        **{f"rewards/{n}": round(beta * v, 5) + 0.0 for n, v in rewards.items()},
        "rewards/accuracies": seen["accuracy"],
        "logps/chosen": ref[0] + chosen,
        "logps/rejected": ref[1] + rejected,
    }


class Record:
    """What is done after each step; `training.fit` calls it.

    folder: where log.jsonl, samples.jsonl and best.pt are written, by one process
    texts, ref: of training, as the method reads them, with the reference's log-probs
    held: the same for evaluation; None for none
    ask: gives answers to held-out prompts, each as [prompt, answer]
    patience: evaluations without a lower held-out loss that end the run; 0 for never
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        texts: Texts,
        ref: Tensor,
        held: tuple[Texts, Tensor] | None,
        ask: Callable[[], list[list[str]]],
        patience: int,
    ):
        self.folder, self.config, self.texts, self.ref = folder, config, texts, ref
        self.held, self.ask, self.patience = held, ask, patience
        self.rows_of = batch_order(texts, config.batch_size, config.seed)
        self.written = False

    def __call__(self, log: Log, done: int) -> bool:
        """Log a step; evaluate and ask, if it is time; True if the run is to end."""
        last = log.watched[-1]["steps"] if log.watched else -1
        due = done % self.config.every == 0 or done == self.config.steps
        if due and last < done:
            self._look(log, done)
        if rank() == 0:
            self._write(log, done, due)
        return self._stalled(log)

    def best(self, log: Log) -> int:
        """After how many steps the held-out loss was least; all if there is none."""
        seen = [look for look in log.watched if look["steps"] and "eval_loss" in look]
        if not seen:
            return len(log.history.get("loss", ()))
        return min(seen, key=lambda look: look["eval_loss"])["steps"]

    def _look(self, log: Log, done: int):
        look = {"steps": done}
        if self.held:
            look |= evaluate(log.model, *self.held, self.config)
            if not math.isfinite(look["eval_loss"]):
                raise FloatingPointError(f"step {done}: the held-out loss is no number")
        log.watched.append(look | {"samples": self.ask()})
        if self.held and done and self.best(log) == done and rank() == 0:
            state = {"steps": done, "model": trained_state(log.model)}
            write_whole(self.folder / "best.pt", lambda part: torch.save(state, part))

    def _stalled(self, log: Log) -> bool:
        losses = [look.get("eval_loss", 0.0) for look in log.watched]
        since = len(losses) - 1 - losses.index(min(losses))
        stop = bool(self.held and self.patience and since >= self.patience)
        votes = sum_of_all(torch.tensor(float(stop)))
        return 2 * votes.item() >= processes()  # all of them stop, or none

    def _write(self, log: Log, done: int, due: bool):
        """Begin the log anew from what a checkpoint remembers; later, add to it."""
        path = self.folder / "log.jsonl"
        if not self.written:
            steps = range(done + 1)
            self._replace(
                path, (row for step in steps for row in self._rows(log, step))
            )
            self.written = True
        else:
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(map(_line, self._rows(log, done))))
        if due:
            samples = (
                {"step": look["steps"], "prompt": prompt, "answer": answer}
                for look in log.watched
                for prompt, answer in look["samples"]
            )
            self._replace(self.folder / "samples.jsonl", samples)

    def _replace(self, path: Path, rows: Iterable[dict]):
        text = "".join(map(_line, rows))
        write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))

    def _rows(self, log: Log, done: int) -> Iterator[dict]:
        """The rows of the log after so many steps: of training, then of evaluation."""
        pairs = done * self.config.batch_size
        where = {"step": done, "epoch": pairs / len(self.texts), "pairs_seen": pairs}
        if done:
            seen = {name: values[done - 1] for name, values in log.history.items()}
            row = where | {"loss": seen["loss"]}
            if "chosen_logratio" in seen:
                ref = self.ref[self.rows_of(done - 1)][:, :2].mean(0).tolist()
                row |= _columns(seen, ref, self.config.beta)
            if "reference_point" in seen:
                row["kl"] = seen["reference_point"]
            row["grad_norm"] = seen["gradient_norm"]
            yield row | {"learning_rate": learning_rate(self.config, done - 1)}
        for look in log.watched:
            if look["steps"] == done and "eval_loss" in look:
                judged = {n: v for n, v in look.items() if n.startswith("eval_")}
                yield where | judged


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights that are trained, by name."""
    return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}


def _line(row: dict) -> str:
    """A row as a line of JSON; its numbers with as many digits as a log needs."""
    short = {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in row.items()
    }
    return json.dumps(short, ensure_ascii=False) + "\n"
