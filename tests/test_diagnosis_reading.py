"""Every library's log becomes the same rows, and what is no log is refused."""

import json
from types import SimpleNamespace

import pytest

from course_lib.diagnosis.columns import canonical, number
from course_lib.diagnosis.reading import read

TRL = (
    "{'loss': 0.69, 'rewards/chosen': 0.01, 'rewards/rejected': -0.02, "
    "'rewards/accuracies': 0.5, 'rewards/margins': 0.03, 'logps/chosen': -90.5, "
    "'epoch': 0.1}"
)
WANTED = {"loss": 0.69, "chosen_reward": 0.01, "rejected_reward": -0.02}
TEXTS = {  # who writes so: a sample of two rows, the second with a loss of 0.6
    "printed": TRL + "\n" + TRL.replace("0.69", "0.6"),
    "strings": TRL.replace("0.69", "'0.69'") + "\n{'loss': '0.6', 'epoch': '0.2'}",
    "beside a bar": f"warn\r\n 1%|▌ | 1/200 [00:10<1:10]{TRL}\r\n{{'loss': 0.6}}\r\n",
    "cut off": TRL + "\n{'loss': 0.6, 'rewards/cho",
    "the first repository": (
        "train stats after 32 examples: {'rewards_train/chosen': '0.01', "
        "'rewards_train/rejected': '-0.02', 'loss/train': '0.69'}\n"
        "train stats after 64 examples: {'loss/train': '0.6'}"
    ),
    "mlx-lm": (
        "Iter 1: Train loss 0.690, Chosen reward 0.010, Rejected reward -0.020, "
        "It/sec 0.3\nIter 2: Train loss 0.600, Chosen reward 0.1, It/sec 0.3"
    ),
    "torchtune": (
        "Step 1 | loss:0.69 lr:1e-6 rewards/chosen:0.01 rewards/rejected:-0.02 "
        "tokens_per_second_per_gpu:300\nStep 2 | loss:0.6 lr:1e-6 rewards/chosen:0.1"
    ),
    "NeMo-RL": (
        "==== Step 1/9 ====\n • Loss: 0.69\n • rewards_chosen_mean: 0.01\n"
        " • rewards_rejected_mean: -0.02\n==== Step 2/9 ====\n • Loss: 0.6\n"
    ),
    "OpenRLHF": (
        "Train step: 5%|▌ | 1/9 [00:01, loss=0.69, acc=0.5, chosen_reward=0.01, "
        "reject_reward=-0.02]\nTrain step: 9%|▌ | 2/9 [00:02, loss=0.6, acc=0.5]"
    ),
    "JSON lines": (
        '{"current_steps": 5, "loss": 0.69, "reward": null, "rewards/chosen": 0.01, '
        '"rewards/rejected": -0.02}\n{"current_steps": 9, "loss": 0.6}'
    ),
    "wandb": (
        "Step,run-7 - train/loss,run-7 - train/loss__MIN,run-7 - train/rewards/chosen,"
        "run-7 - train/rewards/rejected\n1,0.69,0.1,0.01,-0.02\n2,0.6,0.1,,\n"
    ),
    "a notebook": (
        "Step\tTraining Loss\trewards / chosen\trewards / rejected\n"
        "1\t0.690000\t0.010000\t-0.020000\n2\t0.600000\tNo log\tNo log\n"
    ),
    "a table": (
        "Some words.\n\n| Step | Training Loss | Rewards/chosen | Rewards/rejected |\n"
        "|:--:|:--:|:--:|:--:|\n| 1 | 0.69 | 0.01 | −0.02 |\n| 2 | 0.6 | | |\n"
    ),
    "open-instruct": (
        "{'training_step': 1, 'train_loss': 0.69, 'rewards/chosen': 0.01, "
        "'rewards/rejected': -0.02, 'rewards/average': 1}\n"
        "{'training_step': 2, 'train_loss': 0.6, 'rewards/average': 1}"
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_every_library_s_log_becomes_the_same_rows(name):
    first, second = read(TEXTS[name]).rows
    assert {key: first[key] for key in WANTED} == WANTED
    assert second["loss"] == 0.6


def test_a_file_of_each_kind_is_read(tmp_path):
    rows = [{"loss": 0.69, "step": 1}, {"loss": 0.6, "step": 2}]
    for name, text in {
        "trainer_state.json": json.dumps({"log_history": rows, "max_steps": 2}),
        "list.json": json.dumps(rows),
        "columns.json": json.dumps({"loss": [0.69, 0.6], "step": [1, 2]}),
        "loss.csv": "Wall time,Step,Value\n1.5,1,0.69\n2.5,2,0.6\n",
    }.items():
        (tmp_path / name).write_text("\ufeff" + text if "csv" in name else text)
        assert [row["loss"] for row in read(tmp_path / name).rows] == [0.69, 0.6]
    assert read(tmp_path).rows == read(tmp_path / "trainer_state.json").rows


def test_columns_and_our_own_runs_are_read_as_they_are():
    columns = {"loss": [0.69, 0.6], "chosen_logratio": [0.0, 0.1]}
    own = SimpleNamespace(history=columns, watched=[], model=None)
    assert read(columns).rows[1] == {"loss": 0.6, "chosen_logratio": 0.1}
    assert read(own).rows[1] == {"step": 2, "loss": 0.6, "chosen_logratio": 0.1}
    assert read(own).library == "this course"


def test_evaluations_stand_apart_and_a_card_s_columns_are_theirs():
    mixed = read("{'loss': 0.6, 'step': 5}\n{'eval_loss': 0.65, 'eval_runtime': 9}")
    assert len(mixed.part("train")) == len(mixed.part("eval")) == 1
    card = read(
        "| Training Loss | Step | Validation Loss | Rewards/chosen |\n|--|--|--|--|\n"
        "| 0.5 | 100 | 0.6 | -0.3 |\n| No log | 200 | 0.55 | -0.4 |"
    )
    assert list(card.part("eval")["chosen_reward"]) == [-0.3, -0.4]
    assert list(card.part("train")["loss"])[:1] == [0.5]
    bullets = read("Results on the evaluation set:\n- Loss: 0.5\n- Rewards/chosen: 1.5")
    assert bullets.rows == [{"eval_loss": 0.5, "eval_chosen_reward": 1.5}]


def test_the_last_line_of_a_trainer_is_no_row():
    log = read("{'loss': 0.6}\n{'train_runtime': 9.5, 'train_loss': 0.65, 'epoch': 1}")
    assert log.rows == [{"loss": 0.6}]


def test_runs_behind_each_other_are_told_apart():
    run = [{"loss": 0.69 - 0.01 * step, "step": step} for step in range(1, 20)]
    log = read([*run[:9], *run])
    assert log.rows == run
    assert "2 runs" in log.notes[0]
    resumed = read([*run, *run[15:]])  # from a checkpoint: the same run
    assert len(resumed.rows) == 23


def test_repeated_rows_count_once():
    rows = [{"loss": 0.69, "step": 1}, {"loss": 0.6, "step": 2}]
    assert read([row for row in rows for _ in "ab"]).rows == rows


@pytest.mark.parametrize("bad", ["", "hello 12", "{'x': 1}", "a,b\n1,2", [], {}, [1]])
def test_what_is_no_log_is_refused_with_what_was_looked_for(bad):
    with pytest.raises(ValueError, match=r"rewards/chosen|no file"):
        read(bad)


def test_other_refusals(tmp_path):
    with pytest.raises(ValueError, match="no file"):
        read(tmp_path / "none.json")
    with pytest.raises(TypeError, match="got int"):
        read(3)
    with pytest.raises(ValueError, match="equally long"):
        read({"loss": [1.0, 2.0], "margin": [1.0]})


@pytest.mark.parametrize(
    "key",
    ["mean_token_accuracy", "eval_samples_per_second", "total_steps", "grad_norm_std"],
)
def test_a_column_of_another_meaning_is_left_alone(key):
    assert canonical(key) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("0,69", 0.69), ("-3,1416", -3.1416), ("1,234", 1234.0), ("0,693", 0.693)],
)
def test_a_comma_is_a_decimal_sign_or_parts_thousands(text, value):
    assert number(text) == value
