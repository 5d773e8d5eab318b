"""`seqlm train --source --target`: the run it makes, what it tells, refuses, and goes on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from seqlm.cli.commands.train import Progress
from seqlm.runs.loading.load_model import load_model
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_folder import RunFolder
from tests.cli.test_resume import Crash, crash, interrupt, metrics, outcome
from tests.command import Result, seqlm_inside

NOUNS = {"frog": "Frosch", "pike": "Hecht", "otter": "Otter", "toad": "Kröte", "reed": "Schilf"}
VERBS = {"sees": "sieht", "hears": "hört", "forgets": "vergisst"}
SMALL = ["--arch", "gru", "--width", "8", "--epochs", "2", "--batch-tokens", "200"]
SMALL += ["--vocab-size", "280"]


class Pairs(NamedTuple):
    source: Path
    target: Path
    valid_source: Path
    valid_target: Path

    @property
    def flags(self) -> list[str]:
        named = self._asdict().items()
        return [part for name, path in named for part in (f"--{name.replace('_', '-')}", str(path))]


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """Who sees whom at the pond, in two languages."""
    folder = tmp_path_factory.mktemp("pairs")
    said = [(f"{a} {v} {b} .", f"{NOUNS[a]} {VERBS[v]} {NOUNS[b]} .")
            for a in NOUNS for v in VERBS for b in NOUNS if a != b]  # fmt: skip
    texts = {"source": [], "target": [], "valid_source": [], "valid_target": []}
    for number, (english, german) in enumerate(said):
        prefix = "valid_" if number % 5 == 0 else ""
        texts[f"{prefix}source"].append(german)
        texts[f"{prefix}target"].append(english)
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Pairs(*(folder / name for name in texts))


@pytest.fixture
def trained(seqlm: Callable[..., Result], pairs: Pairs) -> Callable[..., tuple[dict, str]]:
    """Trains, and returns the configuration saved and the messages on stderr."""

    def train(*flags: Any, texts: list[str] | None = None, **options: Any) -> tuple[dict, str]:
        named = pairs.flags if texts is None else texts
        result = seqlm("train", *named, *SMALL, "-o", "run", "--overwrite", *flags, **options)
        assert result.code == 0, result.err
        assert result.out == "run\n"
        return RunFolder(Path("run")).read_config(), result.err

    return train


def test_where_bleu_never_moves_the_loss_decides_and_a_warning_says_so(seqlm, workplace):
    for name in ("source", "target"):  # too short for BLEU, which counts sequences of four words
        (workplace / name).write_text("one\ntwo\nthree four\n" * 8)
    files = [f"--{role}={name}" for role, name in zip(ROLES, ("source", "target") * 2)]
    result = seqlm(
        *("train", *files, "--valid-metric", "bleu", "--arch", "gru", "--width", "8"),
        *(
            "--epochs",
            "4",
            "--batch-tokens",
            "16",
            "--lr",
            "0.02",
            "--tokenizer",
            "word",
            "-o",
            "run",
        ),
    )
    assert result.code == 0, result.err
    [warning] = [line for line in result.warnings if "at every validation" in line]
    assert warning.startswith("--valid-metric bleu was 0 at every validation, so that the loss")
    rows = RunFolder(workplace / "run").read_metrics()
    lowest = min(rows, key=lambda row: row["valid_loss"])
    assert lowest["step"] > rows[0]["step"]
    assert RunFolder(workplace / "run").read_config().result == lowest
    assert int((workplace / "run" / "best").read_text()) == lowest["step"]


ROLES = ("source", "target", "valid-source", "valid-target")


# ---------------------------------------------------------------------------------- the run folder


def test_a_run_has_all_its_parts(trained, pairs, workplace):
    config, messages = trained("--valid-metric", "bleu")
    names = {path.name for path in (workplace / "run").iterdir()}
    assert names == {
        "config.yaml", "tokenizer.json", "metrics.jsonl", "README.md", "lock",
        "latest", "best", "steps",
    }  # fmt: skip
    assert (config.task, config.arch, config.context) == ("translation", "gru", "sentence")
    assert config.settings["tokenizer"] == "bpe"
    data = config.data
    assert (data["lines"], data["pairs"], data["valid_pairs"]) == (48, 48, 12)
    assert "corpus: 48 pairs of" in messages
    assert "12 to validate on; 280 types, 0.00% <unk>" in messages
    assert "left out" not in messages
    assert "BLEU" in messages
    assert "chrF" in messages
    readme = (workplace / "run" / "README.md").read_text()
    for path, role in zip(pairs, Pairs._fields):
        assert str(path) in readme
        assert data["texts"][role]["sha256"] in readme
    assert f"bleu {config.result['valid_bleu']:.2f}" in readme
    assert "greedy|nrefs:1|case:mixed" in readme
    for row in metrics(workplace / "run"):
        assert {"valid_loss", "valid_bleu", "valid_chrf"} <= row.keys()


def test_without_more_flags_a_transformer_learns_a_joint_vocabulary(seqlm, pairs, workplace):
    result = seqlm("train", *pairs.flags[:4], "--steps", "1", "--width", "8")
    assert (result.code, result.out) == (0, "checkpoints/transformer-source\n"), result.err
    config = RunFolder(workplace / "checkpoints" / "transformer-source").read_config()
    assert config.model["source_vocab_size"] is None
    assert config.settings["label_smoothing"] == 0.1


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_each_side_may_have_a_vocabulary_of_its_own(kind, trained, pairs, seqlm, workplace):
    config, _ = trained("--separate-vocab", "--tokenizer", kind, "--min-count", "1")
    loaded = load_model(locate(workplace / "run"))
    assert loaded.source_tokenizer is not None
    sizes = len(loaded.tokenizer), len(loaded.source_tokenizer)
    assert (config.model["vocab_size"], config.model["source_vocab_size"]) == sizes
    if kind == "word":
        assert sizes == (2 + 9, 2 + 9)
        assert b"frog" in loaded.tokenizer.types
        assert b"Frosch" in loaded.source_tokenizer.types
    result = seqlm(
        "train", *pairs.flags, "--vocab", "run", "--steps", "1", "--width", "8", "-o", "b"
    )
    assert result.code == 0, result.err
    for name in ("tokenizer.json", "source-tokenizer.json"):
        assert (workplace / "b" / name).read_bytes() == (workplace / "run" / name).read_bytes()


def test_words_know_what_occurs_twice(trained):
    config, messages = trained("--tokenizer", "word", "--vocab-size", "9")
    assert config.model["vocab_size"] == 9
    assert "0.00% <unk>" not in messages


def test_what_is_left_out_is_messages_and_kept(trained, pairs, workplace):
    texts = {role: path.read_text(encoding="utf-8") for role, path in pairs._asdict().items()}
    texts["source"] += "\nFrosch\n" + "Frosch " * 90 + "\n  \n"
    texts["target"] += "frog\n \nfrog\n\n"
    texts["valid_source"] += "\n"
    texts["valid_target"] += "frog\n"
    flags = []
    for role, text in texts.items():
        (workplace / role).write_text(text, encoding="utf-8")
        flags += [f"--{role.replace('_', '-')}", role]
    config, messages = trained("--max-length", "60", texts=flags)
    assert "pairs left out, with a blank side: 3\n" in messages
    assert "pairs left out, with more than 60 tokens on a side (--max-length): 1\n" in messages
    assert "pairs left out, of validation, with a blank side: 1\n" in messages
    data = config.data
    assert (data["lines"], data["pairs"]) == (52, 48)
    assert (data["left_out_blank"], data["left_out_long"]) == (3, 1)
    assert (data["valid_pairs"], data["valid_left_out_blank"]) == (12, 1)


def test_several_files_are_one_text(trained, pairs, workplace):
    lines = {role: path.read_text(encoding="utf-8").splitlines(True)
             for role, path in pairs._asdict().items()}  # fmt: skip
    whole, _ = trained(texts=pairs.flags[:4])
    flags = []
    for role, cut in (("source", 10), ("target", 10)):
        for name, part in ((f"{role}1", lines[role][:cut]), (f"{role}2", lines[role][cut:])):
            (workplace / name).write_text("".join(part), encoding="utf-8")
            flags += [f"--{role}", name]
    parts, _ = trained(texts=flags)
    assert parts.result["train_loss"] == whole.result["train_loss"]
    parts, _ = trained(texts=[*flags[:4], *pairs.flags[2:4]])  # two files and one
    assert parts.result["train_loss"] == whole.result["train_loss"]
    assert parts.data["texts"]["source"]["sha256"] == whole.data["texts"]["source"]["sha256"]


# ----------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source", "S"], "learns from two texts: --source and --target"),
        (["--task", "translation"], "learns from two texts: --source and --target"),
        (["--source", "S", "--target", "T", "T"], "no other corpus, and no --valid"),
        (["--source", "S", "--target", "T", "--valid", "T"], "no other corpus, and no --valid"),
        (["--source", "S", "--target", "T", "--valid-source", "S"], "go together"),
        (["--source", "-", "--target", "-"], "which can be read once"),
        (["--task", "lm", "--source", "S", "--target", "T"], "are for --task translation"),
        (["--valid-source", "S", "--valid-target", "T", "T"], "are for --task translation"),
        (["--source", "S", "--target", "T", "--context", "sentence"], "--context needs --task lm"),
        (["--source", "S", "--target", "T", "--config", "ptb-lstm"], "needs --task lm"),
        (["--source", "S", "--target", "T", "--valid-metric", "bleu"], "needs validation text"),
        (["--source", "S", "--target", "T", "--schedule", "plateau"], "needs validation text"),
        (["--source", "S", "--target", "T", "--arch", "mamba"], "--arch mamba needs --task lm"),
        (["--source", "S", "--target", "T", "--vocab", "x", "--separate-vocab"],
         "cannot be combined with --vocab"),
    ],
)  # fmt: skip
def test_flags_that_mean_nothing_are_a_mistake_of_usage(flags, message, seqlm, pairs, workplace):
    names = {"S": str(pairs.source), "T": str(pairs.target)}
    result = seqlm("train", *(names.get(flag, flag) for flag in flags), "-o", "run")
    assert (result.code, result.out) == (2, ""), result.err
    assert message in result.error
    assert not (workplace / "run").exists()


def test_several_files_are_compared_one_by_one(seqlm, workplace):
    for name, lines in (("a.en", 3), ("b.en", 1), ("a.fr", 1), ("b.fr", 3), ("all.fr", 4)):
        (workplace / name).write_text("a b\n" * lines)
    en = ["--source", "a.en", "--source", "b.en"]
    for flags in ([], ["--valid-source", "a.en", "--valid-target", "b.fr"]):
        result = seqlm("train", *en, "--target", "a.fr", "--target", "b.fr", *flags)
        assert result.code == 3
        assert "a.en has 3 lines, a.fr has 1" in result.error
    valid = ["--valid-source", "b.en", "--valid-source", "a.en"]
    valid += ["--valid-target", "b.fr", "--valid-target", "a.fr"]
    result = seqlm("train", *en, "--target", "all.fr", *valid)
    assert result.code == 3
    assert "b.en has 1 lines, b.fr has 3" in result.error


def test_sides_of_unequal_length_are_bad_data(seqlm, pairs, workplace):
    result = seqlm("train", "--source", pairs.source, "--target", pairs.valid_target)
    assert (result.code, result.out) == (3, "")
    assert f"{pairs.source} has 48 lines, {pairs.valid_target} has 12" in result.error
    assert list(workplace.iterdir()) == []


# --------------------------------------------------------------------------------------- resuming

KINDS = {
    "gru": ["--valid-metric", "chrf", "--dropout", "0.3"],
    "transformer": ["--arch", "transformer", "--heads", "2", "--layers", "1", "--average", "last",
                    "--grad-accumulation", "2"],
    "words apart": ["--arch", "lstm", "--tokenizer", "word", "--separate-vocab", "--attention",
                    "additive", "--scheduled-sampling", "linear", "--average", "ema"],
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What a run of each kind comes to when nothing stops it."""
    folder, known = tmp_path_factory.mktemp("whole"), {}

    def of(kind: str) -> Any:
        if kind not in known:
            result = seqlm_inside("train", *pairs.flags, *SMALL, *KINDS[kind], "-o", folder / kind)
            assert result.code == 0, result.err
            known[kind] = outcome(folder / kind)
        return known[kind]

    return of


def stop(step: int, how: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    on_step = Progress.on_step

    def watched(self: Progress, trainer: Any, loss: float) -> None:
        on_step(self, trainer, loss)
        if trainer.progress.step == step:
            how()

    monkeypatch.setattr(Progress, "on_step", watched)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", [interrupt, crash])
def test_a_stopped_run_ends_as_the_unbroken_one(
    kind, how, whole, pairs, seqlm, workplace, monkeypatch
):
    arguments = ["train", *pairs.flags, *SMALL, *KINDS[kind], "-o", "run"]
    steps = whole(kind)["metrics"][-1]["step"]
    with monkeypatch.context() as patch:
        stop(steps - 1, how, patch)
        if how is crash:
            with pytest.raises(Crash):
                seqlm(*arguments)
        else:
            assert seqlm(*arguments).code == 130
    resumed = seqlm("train", "--resume", "run")
    assert (resumed.code, resumed.out) == (0, "run\n"), resumed.err
    assert outcome(workplace / "run") == whole(kind)


def test_a_side_from_stdin_is_kept_for_resuming(whole, pairs, seqlm, workplace, monkeypatch):
    piped = ["-" if flag == str(pairs.valid_target) else flag for flag in pairs.flags]
    text = pairs.valid_target.read_bytes()
    with monkeypatch.context() as patch:
        stop(1, interrupt, patch)
        arguments = ["train", *piped, *SMALL, *KINDS["gru"], "-o", "run"]
        assert seqlm(*arguments, stdin=text).code == 130
    assert seqlm("train", "--resume", "run").code == 0
    found = outcome(workplace / "run")
    for name in ("best weights", "latest weights", "latest moments", "metrics"):
        assert found[name] == whole("gru")[name]


def test_a_changed_text_and_another_setting_are_refused(pairs, seqlm, workplace, monkeypatch):
    flags = pairs.flags
    copy = workplace / "target"
    copy.write_bytes(pairs.target.read_bytes())
    flags[3] = "target"
    with monkeypatch.context() as patch:
        stop(1, interrupt, patch)
        assert seqlm("train", *flags, *SMALL, "-o", "run").code == 130
    for flag, value in (("--batch-tokens", "99"), ("--attention", "dot"), ("--max-length", "9")):
        result = seqlm("train", "--resume", "run", flag, value)
        assert result.code == 2
        assert f"{flag} cannot change in a resumed run" in result.error
    result = seqlm("train", "--resume", "run", "--source", "x")
    assert result.error == "--resume continues with the text and the settings of its run"
    copy.write_bytes(copy.read_bytes().replace(b"frog", b"toad"))
    result = seqlm("train", "--resume", "run")
    assert (result.code, result.error) == (3, f"{copy} has changed since run was begun")
    copy.write_bytes(pairs.target.read_bytes())
    result = seqlm("train", "--resume", "run", "--epochs", "3")
    assert result.code == 0
    assert "a new phase from step 1" in result.err
    assert json.loads((workplace / "run" / "metrics.jsonl").read_text().splitlines()[-1])[
        "epoch"
    ] == 3  # fmt: skip


def test_the_tokenization_of_bleu_is_that_of_validation_too(seqlm, pairs, workplace):
    flags = ["--valid-metric", "bleu", "--bleu-tokenize", "char", "--steps", "1", "--width", "8"]
    result = seqlm("train", *pairs.flags, "--arch", "gru", *flags, "-o", "run")
    assert result.code == 0, result.err
    assert "|tok:char|" in (workplace / "run" / "config.yaml").read_text()
    refused = seqlm("train", *pairs.flags, "--bleu-tokenize", "char", "-o", "other")
    assert refused.code == 2
    assert "--bleu-tokenize" in refused.error
