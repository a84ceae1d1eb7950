"""Right answers, written as other people would write them. All must pass."""

from alternatives import (
    beta,
    bradley_terry,
    dpo_loss,
    optimal_policy,
    partition_function,
    training,
    variants,
)

CHAPTERS = (
    bradley_terry,
    optimal_policy,
    partition_function,
    dpo_loss,
    beta,
    variants,
    training,
)
ALTERNATIVES = {
    name: functions
    for chapter in CHAPTERS
    for name, functions in chapter.ALTERNATIVES.items()
}
