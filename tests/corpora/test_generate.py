"""The committed corpora are what their generator writes, and the README says what they are."""

from pathlib import Path

import pytest

from corpora import generate

FILES = sorted(path.name for path in generate.HERE.glob("*.*.*"))
PLAIN = [file for file in FILES if not file.startswith(("meadow", "reviews"))]


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory):
    """A folder with every corpus written anew, and the rows that tell about them."""
    folder = tmp_path_factory.mktemp("corpora")
    return folder, [row for name in generate.SOURCES for row in generate.write(name, folder)]


def test_every_file_is_rewritten(rewritten) -> None:
    folder, _ = rewritten
    assert sorted(path.name for path in folder.iterdir()) == FILES


@pytest.mark.parametrize("file", FILES)
def test_rewriting_gives_the_same_bytes(file, rewritten) -> None:
    folder, _ = rewritten
    assert (folder / file).read_bytes() == (generate.HERE / file).read_bytes()


def test_the_readme_has_every_row(rewritten) -> None:
    _, rows = rewritten
    readme = (generate.HERE / "README.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows if row not in readme] == []


@pytest.mark.parametrize("file", PLAIN)
def test_words_are_parted_by_single_spaces_and_lines_are_not_empty(file) -> None:
    data = (generate.HERE / file).read_bytes()
    assert data.endswith(b"\n")
    for line in data[:-1].split(b"\n"):
        assert line
        assert b" ".join(line.split()) == line


def test_the_folder_stays_small() -> None:
    assert sum((generate.HERE / file).stat().st_size for file in FILES) < 9e6


def test_named_sources_alone_are_written(tmp_path: Path, capsys) -> None:
    generate.main(["--out", str(tmp_path), "brackets"])
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"brackets"}
    assert len(capsys.readouterr().out.splitlines()) == len(list(tmp_path.iterdir()))


def test_an_unknown_name_is_a_usage_error(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        generate.main(["--out", str(tmp_path), "harbor"])
    assert "prose, markov, hidden, brackets" in capsys.readouterr().err
