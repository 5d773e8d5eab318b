"""The pages of `--help`: what is on them, how wide they are, and that their examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import seqlm as package
from seqlm.cli import app
from seqlm.cli.options.help_page import LAST_SECTIONS, MAX_WIDTH, break_command, option_sections
from tests.command import environment, run_pipeline, seqlm_inside, seqlm_process
from tests.conftest import REPOSITORY

NAMES = [name for summaries in app.COMMANDS.values() for name in summaries]
DIFFERENT = {
    "--batch-size": "train has rows of text, eval and translate have lines",
    "--beam": "eval and translate always search",
    "--context": "only a network can read windows",
    "--format": "tag has text without labels, and rescore has lists",
    "--json": "translate prints an object for each line",
    "--label-column": "tag writes it",
    "--mix": "export makes one model of several",
    "--model": "each command says what it does with several, and which kinds it takes",
    "--nbest": "tag has sequences of labels, and no search",
    "--order": "of an n-gram model or of a feed-forward network",
    "--output": "export writes files, too",
    "--precision": "train has float16 and a default of its own, translate has a search",
    "--seed": "each command says what it draws",
    "--text-column": "eval has tables of items, and rescore has hypotheses, in objects too",
    "--task": "check recognizes it",
    "--tune": "each command says what it tunes",
    "--valid": "check holds several texts against one",
}
"""Flags that do not have one help in all commands, with the reason."""
OF_THE_REVIEW = [
    "What a count is told, and what it is told in vain",
    "Where the counts tell no discounts",
    "Leave out what is seen at most so often",
    "Leave out n-grams that change the perplexity by less",
    "The form that is not interpolated",
    "The most types kept",
    "lines, added up; not text",
    "The most tokens, in those of the source",
    "How far a translation's length excuses what it costs",
    "source words without attention cost",
    "How far likeness counts",
    "Of learning.",
    "And of its square",
    "What Adam adds to the root of that",
    "Or updates",
    "Vary it around",
    "All of the next four that the model has",
    "Of the model's own prefixes",
    "as far as they are long is cold blocks",
    "to find weights and constants on that no flag gives",
    "Keep those this likely beside the likeliest",
    "a mistake of seqlm's own",
    "no room for what --memory leaves no room for",
    "How long work tells how far it is",
    "The same; after the last",
    "of an older seqlm, which alone can go on with it",
]
"""Sentences that a review of the project found in need of plain English."""


def load(name: str) -> tuple[Any, Any]:
    """A command and a context in which it can be described."""
    context = app.load_command(name).make_context(name, [], resilient_parsing=True)
    return context.command, context


def parameters() -> Iterator[tuple[str, Any]]:
    """Every parameter of every command, with the name of the command."""
    for name in NAMES:
        command, _ = load(name)
        yield from ((name, parameter) for parameter in command.params)


def without_notes(help: str) -> str:
    """The help of an option without the bracket at its end: "[from 0 to 1; default: 0.1]"."""
    return re.sub(r" \[[^\]]*\]$", "", help)


def page(*arguments: str, columns: int = 80, **more: str) -> str:
    result = seqlm_inside(*arguments, "--help", env={"COLUMNS": str(columns), **more})
    assert (result.code, result.err) == (0, "")
    return result.out


# ---------------------------------------------------------------------------------------- sentences


def test_the_help_of_an_option_is_one_or_more_sentences():
    for command, parameter in parameters():
        text = without_notes(parameter.help)
        assert re.match(r"[A-Z]", text), f"{command}: {text}"
        assert text.endswith("."), f"{command}: {text}"


def test_no_sentence_needs_the_line_above_it():
    texts = [text for name in NAMES for text in page(name).split("\n\n")] + [page()]
    for text in texts:
        line = " ".join(text.split())
        assert not re.search(r"(^|[.:] )(Of|And|Or|Its|The same)\b", line), line


def test_the_sentences_of_the_review_are_gone():
    sources = [path.read_text() for path in Path(package.__file__).parent.rglob("*.py")]
    text = re.sub(r'"\s*f?"', "", " ".join(" ".join(sources).split()))
    assert [sentence for sentence in OF_THE_REVIEW if sentence in text] == []


def test_one_flag_has_one_help():
    helps: dict[str, set[tuple[str, str]]] = {}
    for _, parameter in parameters():
        flag = max(parameter.opts, key=len)
        shown = (parameter.metavar, without_notes(parameter.help))
        helps.setdefault(flag, set()).add(shown)
    assert {flag for flag, several in helps.items() if len(several) > 1} == set(DIFFERENT)


# --------------------------------------------------------------------------------------- the layout


def test_every_option_has_a_section_and_a_metavar():
    for command, parameter in parameters():
        assert parameter.rich_help_panel, f"{command}: {parameter.name}"
        if not getattr(parameter, "is_flag", False):
            assert re.fullmatch(r"[A-Z][A-Z|,.]*|[a-z0-9|-]+", parameter.metavar), parameter.name


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_usage_sections_and_examples(name):
    text = page(name)
    command, context = load(name)
    sections = list(option_sections(command, context))
    assert text.startswith(f"Usage: seqlm {name} [OPTIONS]")
    titles = re.findall(r"^(\w.*):$", text, flags=re.M)
    commands = ["Commands"] if hasattr(command, "commands") else []
    assert titles == [*commands, *sections, "Examples"]
    last = [title for title in LAST_SECTIONS if title in titles]
    assert titles[-len(last) - 1 :] == [*last, "Examples"]
    assert {"Output", "Options"} <= set(last)
    assert text.count("  -h, --help") == 1
    assert 3 <= len(command.epilog.splitlines()) / 2 <= 5
    assert "<" not in re.sub(r"<(unk|/?s)>", "", text)  # Typer's names of types
    assert "`" not in text


def test_the_argument_is_named_as_in_the_text():
    for name, argument in {"count": "CORPUS", "train": "CORPUS", "eval": "TEXT"}.items():
        text = page(name)
        assert f"[{argument}]..." in text.splitlines()[0]
        assert f"\n  {argument} " in text


@pytest.mark.parametrize("name", ["", *NAMES])
@pytest.mark.parametrize("columns", [80, 110, 160, 240])
def test_a_page_is_as_wide_as_the_terminal(name, columns):
    arguments = [name] if name else []
    longest = max(page(*arguments, columns=columns).splitlines(), key=len)
    assert len(longest) <= min(columns, MAX_WIDTH), longest
    if name:
        widest = max(map(len, page(name, columns=MAX_WIDTH).splitlines()))
        assert len(longest) > min(columns, widest) - 25


def test_the_top_page_shows_whole_summaries():
    text = page()
    for section, summaries in app.COMMANDS.items():
        assert f"\n{section}:\n" in text
        for name, summary in summaries.items():
            assert re.search(rf"^  {name} +{re.escape(summary)}$", text, flags=re.M)
    assert "Start with count or train" in text
    assert "--install-completion" in text
    assert text.count("\n    seqlm ") == len(app.EXAMPLES)


def test_names_of_flags_are_not_broken():
    for name in NAMES:
        for line in page(name, columns=50).splitlines():
            assert not re.search(r"[a-z]-$", line), line


def test_a_long_command_continues_with_a_flag():
    command = "cat 'a text' | seqlm count --order 3 - --tokenizer char -o chars"
    assert break_command(command, 40) == (
        "    cat 'a text' | seqlm count \\\n"
        "        --order 3 - --tokenizer char \\\n"
        "        -o chars\n"
    )
    assert break_command(command, 80) == f"    {command}\n"


# ------------------------------------------------------------------------------------ the terminal


def test_off_a_terminal_a_page_is_plain_text():
    result = seqlm_process("eval", "--help")
    assert result.code == 0
    assert result.out.isascii()
    assert "\x1b" not in result.out


@pytest.mark.parametrize(
    ("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colors_are_for_terminals_that_want_them(variables, colored, monkeypatch):
    monkeypatch.setattr("tests.command.Output.isatty", lambda self: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = page("eval", **{"TERM": "xterm", **variables})
    assert ("\x1b[1mInput:\x1b[0m" in text) == colored
    assert ("\x1b" in text) == colored
    plain = re.sub(r"\x1b\[\d+m", "", text)
    monkeypatch.undo()
    assert plain == page("eval")


def test_no_page_imports_torch_or_numpy():
    script = (
        "import sys, seqlm.cli.app as app\n"
        f"for name in {NAMES!r}:\n"
        "    context = app.load_command(name).make_context(name, [], resilient_parsing=True)\n"
        "    context.get_help()\n"
        "print({'torch', 'numpy', 'tokenizers', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment()
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_the_top_page_imports_no_command():
    script = (
        "import sys, seqlm.cli.app as app\n"
        "sys.argv = ['seqlm', '--help']\n"
        "try: app.main()\n"
        "finally: print([name for name in sys.modules if name.startswith('seqlm.cli.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment()
    )
    assert "seqlm.cli.app" in done.stdout
    assert "seqlm.cli.commands." not in done.stdout


# --------------------------------------------------------------------------------------- completion


def complete(line: str, cwd: Path) -> list[str]:
    """What bash is told to complete the last word of a line with; "seqlm " completes a new one."""
    done = subprocess.run(
        [sys.executable, "-m", "seqlm"], capture_output=True, text=True, cwd=cwd, check=True,
        env=environment(
            _SEQLM_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(line.count(" "))
        ),
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_flags_and_choices_complete(tmp_path):
    assert complete("seqlm e", tmp_path) == ["eval", "export"]
    assert complete("seqlm train --seq", tmp_path) == ["--seq-length"]
    assert complete("seqlm train --arch mam", tmp_path) == ["mamba", "mamba2"]
    assert complete("seqlm export --to ", tmp_path) == ["arpa", "run", "hf", "words", "lexicon"]
    assert complete("seqlm eval --metric ppl,bits-per-c", tmp_path) == ["ppl,bits-per-char"]
    assert complete("seqlm translate --errors s", tmp_path) == ["strict"]


def test_names_of_runs_complete(ngram, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "small").symlink_to(ngram)
    (tmp_path / "here").symlink_to(ngram)
    (tmp_path / "folder").mkdir()
    assert complete("seqlm eval -m ", tmp_path) == ["here", "small"]
    assert complete("seqlm train --resume s", tmp_path) == ["small"]


def test_the_script_of_a_shell_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    result = seqlm_inside("--show-completion")
    assert (result.code, result.err) == (0, "")
    assert "complete -o default -F _seqlm_completion seqlm" in result.out


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no command trian; did you mean 'train'?"),
        (["xyz"], f"no command xyz; there are {', '.join(NAMES)}"),
        (["train", "--epoch", "3"], "no option --epoch; did you mean '--epochs'?"),
    ],
)
def test_the_nearest_word_is_suggested(arguments, message, seqlm):
    result = seqlm(*arguments)
    assert (result.code, result.error) == (2, message)


def test_an_internal_error_asks_for_a_report(seqlm, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("a fault\nof two lines")

    monkeypatch.setattr("seqlm.cli.console.locate_model", fail)
    result = seqlm("export", "--to", "arpa")
    assert result.code == 1
    assert result.error == (
        "internal error (please report): ValueError: a fault of two lines;"
        " rerun with --debug for the traceback"
    )


# ----------------------------------------------------------------------------------------- examples


def examples_of(name: str) -> list[str]:
    epilog = load(name)[0].epilog
    return [line.strip() for line in epilog.splitlines() if line.startswith("    ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the examples of the commands that make models have run."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "corpora").symlink_to(REPOSITORY / "corpora")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("count", "train"):
            for command in examples_of(name):
                run_pipeline(command)
    return folder


@pytest.mark.parametrize("name", ["eval", "next", "rescore", "sample", "translate", "export"])
def test_examples_run(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for command in examples_of(name):
        run_pipeline(command)


def test_examples_of_the_top_page_run(tmp_path, monkeypatch):
    (tmp_path / "corpora").symlink_to(REPOSITORY / "corpora")
    monkeypatch.chdir(tmp_path)
    for example in app.EXAMPLES:
        run_pipeline(example.command)
