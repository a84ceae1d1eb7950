"""Right answers, written as other people would write them. All must pass.

`dpo_loss__by_a_loop` answers the exercise dpo_loss, in whichever file it stands.
"""

from collections import defaultdict
from importlib import import_module
from pkgutil import iter_modules

ALTERNATIVES = defaultdict(list)
for module in iter_modules(__path__):
    for name, function in vars(import_module(f"{__name__}.{module.name}")).items():
        exercise, found, _ = name.partition("__")
        if exercise and found:
            ALTERNATIVES[exercise].append(function)
