"""The texts that a task takes: a corpus, or a source and its translation, and validation text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqlm.errors import UsageError
from seqlm.text.reading import STDIN
from seqlm.training.config.training_settings import TrainingSettings

PARALLEL = ("source", "target", "valid_source", "valid_target")
ROLES = ("corpus", "valid", *PARALLEL)


def files_by_role(
    settings: TrainingSettings, files: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """The files of each role that the task of `settings` has. `files` has all ROLES, some empty.

    Errors: UsageError where a file of another task is given, one is missing, or standard input is
    to be read twice.
    """
    roles: Sequence[str]
    if settings.task == "translation":
        roles = PARALLEL
        if files["corpus"] or files["valid"]:
            raise UsageError(
                "a translator learns from `source` and `target`, and is validated on `valid_source`"
                " and `valid_target`: it takes no other corpus, and no `valid`"
            )
        if not (files["source"] and files["target"]):
            raise UsageError("a translator learns from two texts: `source` and `target`")
        if bool(files["valid_source"]) != bool(files["valid_target"]):
            raise UsageError("`valid_source` and `valid_target` go together")
    else:
        roles = ("corpus", "valid")
        if any(files[role] for role in PARALLEL):
            raise UsageError("`source`, `target` and the like are for `task=translation`")
        if not files["corpus"]:
            learner = "language model" if settings.task == "lm" else "labeler"
            raise UsageError(f"a {learner} learns from a corpus: name a text file")
        if files["valid"] and settings.valid_fraction:
            raise UsageError("`valid` and `valid_fraction` exclude each other")
    chosen = {role: list(files[role]) for role in roles}
    if sum(names.count(STDIN) for names in chosen.values()) > 1:
        raise UsageError("- stands for standard input, which can be read once")
    return chosen
