"""The small library behind the course *DPO from first principles*.

Every public name can be imported from its own module or from here:

    from course_lib import check, dpo_loss

Nothing is imported before it is asked for, so that `python3 -m course_lib` runs on the
standard library alone until the course's environment stands.
"""

_MODULES = (
    "preferences",
    "policies",
    "logprobs",
    "losses",
    "beta",
    "clinic",
    "datasets",
    "worlds",
    "models",
    "batches",
    "tabular",
    "evaluation",
    "objectives",
    "guide",
    "baselines",
    "training",
    "figures",
    "sliders",
    "checking",
)


def __getattr__(name):
    from importlib import import_module
    from importlib.util import find_spec

    if not name.startswith("_") and find_spec("course_lib." + name) is None:
        for module in _MODULES:
            try:
                home = import_module("course_lib." + module)
            except ModuleNotFoundError as missing:  # who asks may only be looking round
                raise AttributeError(f"course_lib.{name}: {missing}") from missing
            if name in home.__all__:
                return getattr(home, name)
    raise AttributeError(f"module 'course_lib' has no attribute {name!r}")
