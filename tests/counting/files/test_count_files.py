"""Counts to files and back, against a reader and a writer that go line by line."""

from __future__ import annotations

import gzip
import io
import re
import resource
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.files import count_lines
from seqlm.counting.files.count_files import read_counts, write_counts
from seqlm.counting.tables import array_passes
from seqlm.counting.tables.from_rows import to_rows
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError, SeqlmError, UsageError
from seqlm.models.ngram import sort_keys
from seqlm.text import reading
from seqlm.text import vocabulary as vocabulary_module
from seqlm.text.reading import read_blocks
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, UNK, order_types

Words = tuple[bytes, ...]

WORDS = [b"a", b"aa", b"b", b"<unk>", b"12", b"<", b"\x01", "é".encode(), "\u00a0a".encode()]
LINES = st.lists(st.lists(st.sampled_from(WORDS), max_size=5), min_size=1, max_size=8)
ORDERS = st.integers(1, 5)
CONTEXTS = st.sampled_from(["sentence", "carried"])

Text = list[list[bytes]]


@pytest.fixture(scope="module")
def count_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is written again and again."""
    return tmp_path_factory.mktemp("counts") / "counts"


# --------------------------------------------------------------------------------- the slow way


def vocabulary(text: Text) -> Tokenizer:
    counts = Counter(word for line in text for word in line if word != b"<unk>")
    return Tokenizer("word", RESERVED + order_types(counts.items()))


def counted(text: Text, order: int, context: str, tokenizer: Tokenizer) -> list[NGrams]:
    known = {type_: id for id, type_ in enumerate(tokenizer.types)}
    ids = [known.get(word, UNK) for line in text for word in [*line, b"</s>"]]
    return count_ngrams(np.array(ids, np.int32), len(tokenizer), order, context)


def as_dictionary(tables: list[NGrams], types: list[bytes]) -> dict[Words, int]:
    """All n-grams; `</s>` as a first word is `<s>`, unigrams that do not occur are left out."""
    counts = {}
    for k, ngrams in enumerate(tables, 1):
        for ids, n in zip(to_rows(tables, len(types), k).tolist(), ngrams.counts.tolist()):
            start = [b"<s>"] if k > 1 and ids[0] == EOS else [types[ids[0]]]
            counts[(*start, *(types[id] for id in ids[1:]))] = n
    return {ngram: n for ngram, n in counts.items() if n}


def written(counts: dict[Words, int], context: str) -> bytes:
    """The file of an n-gram dictionary."""
    if context == "sentence":
        counts = {**counts, (b"<s>",): counts[(b"</s>",)]}
    else:
        counts = {
            (b"</s>", *ngram[1:]) if ngram[0] == b"<s>" else ngram: n for ngram, n in counts.items()
        }
    by_bytes = sorted(counts, key=lambda ngram: (len(ngram), ngram))
    return b"".join(b"%s\t%d\n" % (b" ".join(ngram), counts[ngram]) for ngram in by_bytes)


class BadLineError(Exception):
    pass


LINE = re.compile(rb"([^ \t\r\v\f]+(?: [^ \t\r\v\f]+)*)\t([1-9]\d*)")


def read_slowly(text: bytes) -> dict[Words, int]:
    """Errors: BadLineError with the number of the line, 0 where it is the whole."""
    counts: Counter[Words] = Counter()
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        match = LINE.fullmatch(line)
        words = match[1].split(b" ") if match else []
        if not match or len(words) > 64 or b"<s>" in words[1:] or int(match[2]) > 2**63 - 1:
            raise BadLineError(number)
        if words == [b"<s>"]:
            continue
        if len(words) > 1 and words[0] == b"</s>":
            words[0] = b"<s>"
        counts[tuple(words)] += int(match[2])
    if not any(len(ngram) == 1 for ngram in counts):
        raise BadLineError(0)
    for order in range(1, 65):
        if sum(n for ngram, n in counts.items() if len(ngram) == order) >= 2**63:
            raise BadLineError(0)
    for ngram in counts:
        context, suffix = ngram[:-1], ngram[1:]
        if len(suffix) > 1 and suffix[0] == b"</s>":
            suffix = (b"<s>", *suffix[1:])
        if suffix and not (suffix in counts and (context in counts or context == (b"<s>",))):
            raise BadLineError(0)
    return counts


def assert_equal(tables_read: list[NGrams], expected: list[NGrams]) -> None:
    for one, other in zip(tables_read, expected):
        for a, b in zip(one[:4], other[:4], strict=True):
            assert a.dtype == b.dtype
            assert np.array_equal(a, b)
    assert all(len(of.words) == 0 for of in expected[len(tables_read) :])  # orders without a line


# ------------------------------------------------------------------------------- there and back


@given(LINES, ORDERS, CONTEXTS, st.booleans())
def test_what_is_written_is_read(count_file, text, order, context, compressed) -> None:
    tokenizer = vocabulary(text)
    tables = counted(text, order, context, tokenizer)
    path = count_file.with_suffix(".gz") if compressed else count_file
    write_counts(path, tables, tokenizer, context)
    assert path.read_bytes().startswith(b"\x1f\x8b") == compressed
    counts = read_counts([str(path)])
    assert_equal(counts.tables, tables)
    assert counts.tokenizer.types == tokenizer.types
    assert counts.tokens == sum(len(line) + 1 for line in text)
    assert counts.lines == len(text)
    inside = any(b"</s>" in ngram[1:-1] for ngram in as_dictionary(tables, tokenizer.types))
    assert counts.context == ("carried" if inside else "sentence")


@given(LINES, ORDERS, CONTEXTS)
def test_orders_follow_each_other_sorted_by_the_bytes_of_words(
    count_file, text, order, context
) -> None:
    tokenizer = vocabulary(text)
    tables = counted(text, order, context, tokenizer)
    write_counts(count_file, tables, tokenizer, context)
    assert count_file.read_bytes() == written(as_dictionary(tables, tokenizer.types), context)


def test_blocks_as_short_as_lines_change_nothing(
    count_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0)
    text = [[b"w%d" % w for w in noise.integers(0, 30, noise.integers(9))] for _ in range(200)]
    tokenizer = vocabulary(text)
    tables = counted(text, 4, "carried", tokenizer)
    write_counts(count_file, tables, tokenizer, "carried")
    whole = count_file.read_bytes()
    short = (
        (array_passes, "BLOCK"),
        (sort_keys, "BLOCK"),
        (vocabulary_module, "CHUNK_SIZE"),
        (count_lines, "PIECE"),
        (reading, "BLOCK_SIZE"),
    )
    for module, name in short:
        monkeypatch.setattr(module, name, 40)
    write_counts(count_file, tables, tokenizer, "carried")
    assert count_file.read_bytes() == whole
    assert_equal(read_counts([str(count_file)]).tables, tables)


@given(LINES, LINES, ORDERS)
def test_counts_of_two_halves_are_those_of_the_whole(count_file, first, second, order) -> None:
    paths = []
    for number, half in enumerate((first, second)):
        tokenizer = vocabulary(half)
        paths.append(count_file.with_name(str(number)))
        write_counts(paths[-1], counted(half, order, "sentence", tokenizer), tokenizer, "sentence")
    whole = vocabulary(first + second)
    counts = read_counts([str(path) for path in paths])
    assert counts.tokenizer.types == whole.types
    assert_equal(counts.tables, counted(first + second, order, "sentence", whole))


@given(LINES, ORDERS, st.randoms(use_true_random=False), st.sampled_from([b"<s>", b"</s>"]))
def test_lines_come_in_any_order_and_either_mark_begins_one(
    count_file, text, order, random, mark
) -> None:
    tokenizer = vocabulary(text)
    tables = counted(text, order, "sentence", tokenizer)
    write_counts(count_file, tables, tokenizer, "sentence")
    shuffled = count_file.read_bytes().splitlines(keepends=True)
    random.shuffle(shuffled)
    count_file.write_bytes(re.sub(rb"(?m)^<s>(?= )", mark, b"".join(shuffled)))
    assert_equal(read_counts([str(count_file)]).tables, tables)


def test_a_file_of_srilm(count_file: Path) -> None:
    count_file.write_bytes(b"<s>\t2\n<s> a\t2\n<s> a </s>\t1\n<s> a b\t1\na\t2\na </s>\t1\na b\t1\n"
                      b"a b </s>\t1\nb\t1\nb </s>\t1\n</s>\t2\n")  # fmt: skip
    counts = read_counts([str(count_file)])
    text = [[b"a"], [b"a", b"b"]]
    assert_equal(counts.tables, counted(text, 3, "sentence", vocabulary(text)))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(b"a\t3\n</s>\t1\n"))))
    monkeypatch.setattr(sys, "stdin", piped)
    counts = read_counts(["-"])
    assert counts.tokenizer.types == [*RESERVED, b"a"]
    assert counts.tables[0].counts.tolist() == [0, 1, 3]


def test_the_digest_is_of_the_text_however_it_is_packed(count_file: Path) -> None:
    digests = set()
    for data in (b"a\t3\r\n", gzip.compress(b"a\t3\n"), b"a\t3"):
        count_file.write_bytes(data)
        digests.add(read_counts([str(count_file)]).digest)
    assert len(digests) == 1


def test_equal_counts_are_equal_archives(tmp_path: Path) -> None:
    tokenizer = vocabulary([[b"a"]])
    tables = counted([[b"a"]], 2, "sentence", tokenizer)
    for name in ("one.gz", "other.gz"):
        write_counts(tmp_path / name, tables, tokenizer, "sentence")
    data = (tmp_path / "one.gz").read_bytes()
    assert data == (tmp_path / "other.gz").read_bytes()
    assert data[4:8] == bytes(4)  # no time


def test_counts_too_large_for_31_bits(count_file: Path) -> None:
    count_file.write_bytes(b"a\t%d\n</s>\t2\na a\t4294967296\n" % (2**62))
    counts = read_counts([str(count_file)])
    assert counts.tokens == 2**62 + 2
    assert counts.tables[1].counts.tolist() == [2**32]
    write_counts(count_file, counts.tables, counts.tokenizer, counts.context)
    assert b"a a\t4294967296\n" in count_file.read_bytes()
    assert read_counts([str(count_file)]).tokens == 2**62 + 2


def test_each_stage_is_told(count_file: Path) -> None:
    told: dict[str, None] = {}

    def tell(stage: str, done: float | None = None) -> None:
        assert done is None or 0 <= done <= 1
        told[stage] = None

    tokenizer = vocabulary([[b"a"]])
    write_counts(
        count_file, counted([[b"a"]], 2, "sentence", tokenizer), tokenizer, "sentence", tell
    )
    read_counts([str(count_file)], progress=tell)
    stages = ["writing 1-grams", "writing 2-grams", f"reading {count_file}", "sorting n-grams"]
    assert list(told) == stages


# ----------------------------------------------------------------------------------- vocabularies


@given(LINES, ORDERS, st.integers(1, 4), st.integers(2, 8))
def test_a_limited_vocabulary_is_that_of_a_text_with_unknown_words(
    count_file, text, order, min_count, size
) -> None:
    tokenizer = vocabulary(text)
    write_counts(count_file, counted(text, order, "sentence", tokenizer), tokenizer, "sentence")
    occurring = Counter(word for line in text for word in line)
    kept = [word for word in tokenizer.types[2:] if occurring[word] >= min_count][: size - 2]
    limited = Tokenizer("word", RESERVED + kept)
    counts = read_counts([str(count_file)], vocab_size=size, min_count=min_count)
    assert counts.tokenizer.types == limited.types
    assert_equal(counts.tables, counted(text, order, "sentence", limited))


@given(LINES, ORDERS, st.sets(st.sampled_from([*WORDS, b"stranger"])))
def test_a_given_vocabulary(count_file, text, order, types) -> None:
    tokenizer = vocabulary(text)
    write_counts(count_file, counted(text, order, "sentence", tokenizer), tokenizer, "sentence")
    given_ = Tokenizer("word", RESERVED + sorted(types - {b"<unk>"}))
    counts = read_counts([str(count_file)], given_)
    assert counts.tokenizer is given_
    assert_equal(counts.tables, counted(text, order, "sentence", given_))


def test_characters_without_white_space(count_file: Path) -> None:
    tokenizer = Tokenizer("char", [*RESERVED, "道".encode(), b"k"])
    tables = count_ngrams(np.array([2, 3, 2, EOS, UNK, 2, EOS]), 4, 3, "carried")
    write_counts(count_file, tables, tokenizer, "carried")
    counts = read_counts([str(count_file)], tokenizer)
    assert_equal(counts.tables, tables)
    assert counts.context == "carried"


def test_types_that_hold_white_space_cannot_be_written(count_file: Path) -> None:
    tokenizer = Tokenizer("char", [*RESERVED, b"a", b" "])
    tables = count_ngrams(np.array([2, 3, EOS]), 4, 2)
    with pytest.raises(UsageError, match="this char vocabulary has white space in its types"):
        write_counts(count_file.with_name("none"), tables, tokenizer, "sentence")
    assert not count_file.with_name("none").exists()


# --------------------------------------------------------------------------------------- bad files


def outcome(path: Path) -> tuple[dict[Words, int] | None, str]:
    """The n-grams read, or the one line that says what is wrong."""
    try:
        counts = read_counts([str(path)])
    except DataError as error:
        message = str(error)
        assert "\n" not in message
        assert message.startswith(str(path))
        return None, message
    return as_dictionary(counts.tables, counts.tokenizer.types), ""


def check(path: Path) -> None:
    """That `path` is read, or refused, as it is line by line."""
    ngrams, message = outcome(path)
    try:
        text = b"".join(block.data for block in read_blocks([path]))
    except DataError:
        assert ngrams is None
        return
    if text == b"":
        assert message == f"{path} is empty: there are no n-grams in it"
        return
    try:
        assert ngrams == read_slowly(text)
    except BadLineError as error:
        assert ngrams is None
        (line,) = error.args
        assert message.startswith(f"{path}, line {line}: " if line else f"{path}: ")


SPOILT = st.sampled_from([
    b"", b"\t", b" ", b"\n", b"\r", b"\r\n", b"\v", b"\0", b"<s>", b"</s>", b"<s> ", b" </s>", b"a",
    b"0", b"7", b"-", b".5", b"e3", b"9" * 19, b"9223372036854775807", b"9223372036854775808",
    b"\xff", b"\xef\xbb\xbf", b"a " * 64, b"\t1\n", b"a\t1\n", b"<s>\t1\n", b"a\t\n", b"\t\t",
    "\u0663".encode(),
])  # fmt: skip


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), SPOILT), min_size=1, max_size=3))
def test_a_spoilt_file_is_read_right_or_refused(count_file, cuts) -> None:
    text = [[b"a", b"b"], [], [b"<unk>", b"a"]]
    tokenizer = vocabulary(text)
    write_counts(count_file, counted(text, 3, "carried", tokenizer), tokenizer, "carried")
    data = count_file.read_bytes()
    for where, size, put in cuts:
        start = int(where * len(data))
        data = data[:start] + put + data[start + size :]
    count_file.write_bytes(data)
    check(count_file)


@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\n", b"1", b"</s>", b"<s>", b"\t1\n"])))
def test_pieces_of_lines_in_any_order(count_file, parts) -> None:
    count_file.write_bytes(b"".join(parts))
    check(count_file)


@given(st.binary(max_size=60))
def test_any_bytes(count_file, data) -> None:
    count_file.write_bytes(data)
    check(count_file)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"a 1", "no tab between"),
        (b"", "no tab"),
        (b"\t5", "no n-gram"),
        (b"a  b\t5", "an empty word"),
        (b" a\t5", "an empty word"),
        (b"a \t5", "an empty word"),
        (b"a\rb\t5", "white space"),
        (b"a\vb\t5", "white space"),
        (b"a\t", "the count '' is no whole number above 0"),
        (b"a\tb\t5", r"the count 'b\\t5' is no whole number above 0"),
        (b"a\t5 ", "the count '5 ' is no whole number"),
        (b"a\tmany", "the count 'many' is no whole number"),
        (b"a\t-3", "the count '-3' is no whole number"),
        (b"a\t0", "the count '0' is no whole number"),
        (b"a\t007", "the count '007' is no whole number"),
        (b"a\t1.5", r"the count '1\.5' is no whole number"),
        ("a\t٣".encode(), "the count '٣' is no whole number"),
        (b"a\t9223372036854775808", r"the count '9223372036854775808' is larger than 2\^63 - 1"),
        (b"a\t" + b"1" * 5000, r"the count '1{30}…' is larger than"),
        (b" ".join([b"a"] * 65) + b"\t1", "an n-gram of 65 words: at most 64"),
        (b"a <s>\t1", "<s> begins a line"),
        (b"<s> <s> a\t1", "<s> begins a line"),
    ],
)
def test_a_bad_line_is_named(count_file: Path, line: bytes, wrong: str) -> None:
    count_file.write_bytes(b"a\t9\nb\t1\n" + line + b"\nb\t2\n")
    with pytest.raises(DataError, match=f"^{re.escape(str(count_file))}, line 3: {wrong}"):
        read_counts([str(count_file)])


def test_lines_are_numbered_from_piece_to_piece(
    count_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_lines, "PIECE", 10)
    for bad in (b"a\n", b"<s> <s>\t1\n"):
        count_file.write_bytes(b"a\t1\n" * 30 + bad)
        with pytest.raises(DataError, match="line 31: "):
            read_counts([str(count_file)])


def test_a_line_without_an_end_is_no_n_gram(
    count_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK_SIZE", 100)
    count_file.write_bytes(b"a\t1\n" + b"a\t1" * 1000)
    with pytest.raises(DataError, match="line 2: the line is too long for an n-gram"):
        read_counts([str(count_file)])


@pytest.mark.parametrize(
    ("text", "whole", "part"),
    [
        (b"a\t1\na b\t1\n", "a b", "b"),
        (b"a\t1\nb a\t1\n", "b a", "b"),
        (b"a\t1\n<s> a </s>\t1\n", "<s> a </s>", "</s>"),
        (b"a\t1\na <unk>\t1\n", "a <unk>", "<unk>"),
        (b"a\t1\nb\t1\na a\t1\na b a\t1\n", "a b a", "a b"),
        (b"a\t1\nb\t1\na b\t1\na b a\t1\n", "a b a", "b a"),
        (b"a\t1\nb\t1\n</s>\t1\na </s>\t1\na </s> b\t1\n", "a </s> b", "</s> b"),
        (b"a\t1\n</s>\t1\na </s>\t1\n<s> a </s>\t1\n", "<s> a </s>", "<s> a"),
        (b"a\t1\n</s>\t1\n</s> a\t1\n</s> </s> a\t1\n", "</s> </s> a", "</s> </s>"),
    ],
)
def test_an_n_gram_is_named_that_lacks_a_part(
    count_file: Path, text: bytes, whole: str, part: str
) -> None:
    count_file.write_bytes(text)
    with pytest.raises(DataError) as error:
        read_counts([str(count_file)])
    expected = f"{count_file}: {whole!r} has a count, but {part!r}, a part of it, has none;"
    assert str(error.value).startswith(expected)


def test_the_start_of_a_line_needs_no_count(count_file: Path) -> None:
    count_file.write_bytes(b"a\t1\n<s> a\t1\n")
    assert as_dictionary(read_counts([str(count_file)]).tables, [*RESERVED, b"a"]) == {
        (b"a",): 1,
        (b"<s>", b"a"): 1,
    }


def test_files_that_are_no_counts(count_file: Path) -> None:
    count_file.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        read_counts([str(count_file)])
    for text in (b"a b\t1\n", b"<s>\t1\n<s> <unk>\t1\n"):
        count_file.write_bytes(text)
        with pytest.raises(DataError, match="there are no unigrams"):
            read_counts([str(count_file)])


def test_sums_that_63_bits_do_not_hold(count_file: Path) -> None:
    count_file.write_bytes(b"a\t9223372036854775807\n")
    assert read_counts([str(count_file)]).tokens == 2**63 - 1
    with pytest.raises(DataError, match=r"the counts of the 1-grams add up to more than 2\^63 - 1"):
        read_counts([str(count_file), str(count_file)])


# ----------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small() -> tuple[list[NGrams], Tokenizer]:
    text = [[b"a", b"b"], [b"b"]]
    tokenizer = vocabulary(text)
    return counted(text, 3, "sentence", tokenizer), tokenizer


@pytest.mark.parametrize("name", ["counts", "counts.gz"])
def test_a_full_disk_is_one_line_and_leaves_what_was(small, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))  # bytes of a file
    try:
        with pytest.raises(SeqlmError, match=f"{name} cannot be written: File too large"):
            write_counts(tmp_path / name, *small, "sentence")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


def test_ctrl_c_leaves_nothing(small, tmp_path: Path) -> None:
    def stop(stage: str, done: float | None = None) -> None:
        if stage == "writing 3-grams":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_counts(tmp_path / "counts.gz", *small, "sentence", stop)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(small, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "counts", tmp_path / "file" / "counts", tmp_path):
        with pytest.raises(SeqlmError, match="cannot be written"):
            write_counts(path, *small, "sentence")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
