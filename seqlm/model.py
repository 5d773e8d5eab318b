"""A model ready for use: what `seqlm.load`, `count`, `train` and `mix` return."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from seqlm.arguments import (
    StrPath,
    check_mapping,
    check_number,
    check_path,
    check_switch,
    check_text,
    each_sentence,
    each_text,
    list_paths,
    list_texts,
    optional_path,
    optional_text,
)
from seqlm.errors import DataError, ModelError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from seqlm.counting.history_counts import HistoryCounts
    from seqlm.decoding.contextual_vectors import Pieces
    from seqlm.decoding.labeling.label_records import LabeledRecord
    from seqlm.decoding.next_token import NextTokens
    from seqlm.decoding.text_generation import Continuation, Sample
    from seqlm.decoding.translation.translation_search import TranslatedLine
    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
    from seqlm.evaluation.rescoring.log_linear import Scored
    from seqlm.evaluation.surprisal import TokenSurprisal
    from seqlm.evaluation.words.word_surprisal import WordSurprisal
    from seqlm.models.stored_model import StoredModel
    from seqlm.runs.loading.load_labeler import LoadedLabeler
    from seqlm.runs.loading.load_model import LoadedModel
    from seqlm.runs.loading.load_translators import LoadedTranslator
    from seqlm.text.tokenizer import Tokenizer


def list_lines(texts: str | Iterable[str]) -> list[str]:
    """The lines of one text; or several texts, each of which is a line.

    Errors: those of `check_text`, DataError where one of several has a line break.
    """
    listed = list_texts("texts", texts)
    if isinstance(texts, str):
        return texts.removesuffix("\n").split("\n")
    lines = [text.removesuffix("\n") for text in listed]
    for number, line in enumerate(lines, 1):
        if "\n" in line:
            raise DataError(f"text {number} has a line break: each of several texts is one line")
    return lines


class Evaluation(NamedTuple):
    """Figures of a model on a text, and what they depend on."""

    figures: dict[str, float]
    """The value of each metric."""
    signature: str
    """What the figures depend on: two can be compared where all but the model agrees. It has a line
    for each column of labels."""
    tokens: int
    """The number of tokens, `</s>` included; of labels, for a tagger or a classifier."""
    lines: int
    """The number of lines; of sentences or texts that have labels."""
    oov: int
    """The number of tokens outside the vocabulary; of gold labels that training did not have."""
    intervals: dict[str, tuple[float, float]] | None = None
    """The 95 % interval of each figure of labels, from bootstrap samples of the sentences."""


class Model:
    """A language model, a mixture of several, a translator, a tagger or a classifier.

    Made by `load`, `count`, `train` and `mix`. A method that the model does not have, such as
    `translate` of a language model, raises ModelError.
    """

    def __init__(
        self,
        loaded: Sequence[LoadedModel] | Sequence[LoadedLabeler],
        mixture: LoadedMixture | None = None,
    ) -> None:
        self.loaded: list[LoadedModel] | list[LoadedLabeler] = list(loaded)  # type: ignore[assignment]
        """The models that it consists of: one, or those of a mixture or an ensemble."""
        self._mixture = mixture
        self._counts: dict[str | None, HistoryCounts | None] = {}

    def __repr__(self) -> str:
        return f"seqlm.Model({', '.join(str(loaded.path) for loaded in self.loaded)})"

    # -- what it is

    @property
    def task(self) -> str:
        """'lm', 'translation', 'tagging' or 'classification'."""
        return self.loaded[0].config.task

    @property
    def arch(self) -> str:
        """The architecture, such as 'ngram' or 'lstm'; of a mixture, that of the first model."""
        return self.loaded[0].config.arch

    @property
    def context(self) -> str:
        """What the model sees before a line: 'sentence', 'carried' or 'window'."""
        return self.loaded[0].config.context

    @property
    def path(self) -> Path:
        """The run folder or the ARPA file; of a mixture, that of the first model."""
        return self.loaded[0].path

    @property
    def tokenizer(self) -> Tokenizer:
        """Text <-> ids; of a translator, that of the target."""
        return self.loaded[0].tokenizer

    @property
    def weights(self) -> list[float]:
        """The weights of a mixture; [1.0] of one model."""
        return list(self.mixture.weights)

    @property
    def signature(self) -> str:
        """What the figures of this language model depend on."""
        from seqlm.evaluation.signature import language_model_signature

        return language_model_signature(self.mixture)

    @property
    def mixture(self) -> LoadedMixture:
        """The language model as `seqlm.evaluation` takes it. Errors: ModelError of other models."""
        models = self.models_for("lm")
        if self._mixture is None:
            from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture

            self._mixture = LoadedMixture.of(models)
        return self._mixture

    def models_for(self, *tasks: str) -> list[Any]:
        """The models that it consists of. Errors: ModelError where they do none of these tasks."""
        if self.task not in tasks:
            from seqlm.runs.loading.locate import WrongTask

            raise WrongTask(self.path, self.task, tasks)
        return self.loaded

    @property
    def model(self) -> StoredModel:
        """The PyTorch module underneath; of a mixture or an ensemble, one that combines them."""
        from seqlm.models.ngram.ngram_language_model import in_tensors

        if len(self.loaded) == 1:
            model: StoredModel = in_tensors(self.loaded[0].model)
            return model
        return self.translator.model if self.task == "translation" else self.decoder

    @property
    def decoder(self) -> Any:
        """The language model as decoders take it: it reads on past its context length."""
        return self.mixture.as_language_model()

    @property
    def translator(self) -> LoadedTranslator:
        """Errors: ModelError where this is no translator."""
        from seqlm.runs.loading.load_translators import combine_translators

        return combine_translators(self.models_for("translation"))

    # -- scores

    @overload
    def score(self, text: str) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def score(self, text: Sequence[str]) -> list[float]: ...
    def score(self, text: str | Iterable[str]) -> float | list[float]:
        """The natural logarithm of the probability of a text, or of each of several.

        The end of a line is part of it, and every line starts afresh.
        Errors: DataError on a literal `<s>` or `</s>` among words.
        """
        from seqlm.evaluation.mixtures.mixture_scoring import score_lines

        texts = list_texts("text", text)
        lines_of_texts = [text.removesuffix("\n").split("\n") for text in texts]
        scores = iter(
            score_lines(self.line_by_line(), (line for lines in lines_of_texts for line in lines))
        )
        sums = [sum(next(scores) for _ in lines) for lines in lines_of_texts]
        return sums[0] if isinstance(text, str) else sums

    def surprisal(self, texts: str | Iterable[str]) -> list[TokenSurprisal]:
        """A row for each token of the texts: sentence_id, token_id, token, surprisal (bits), oov,
        start, end, order. Every line is a sentence, and starts afresh.

        Errors: DataError on a literal `<s>` or `</s>` among words.
        """
        from seqlm.evaluation.surprisal import line_surprisals

        return list(line_surprisals(self.line_by_line(), list_lines(texts)))

    def word_surprisal(
        self, texts: str | Iterable[str], entropy: bool = True
    ) -> list[WordSurprisal]:
        """A row for each word of the texts, whatever the tokens: sentence_id, word_id, word,
        surprisal (bits), entropy (bits) and rank of the distribution before it, oov, start, end.
        Every line is a sentence, and starts afresh; `</s>` has a row.

        Without `entropy`, these two are None, and a model of words is faster.
        Errors: DataError on a literal `<s>` or `</s>` among words; ModelError where the model gives
        scores instead of probabilities.
        """
        from seqlm.evaluation.words.word_surprisal import word_surprisals

        entropy = check_switch("entropy", entropy)
        return list(word_surprisals(self.line_by_line(), list_lines(texts), entropy))

    def line_by_line(self) -> LoadedMixture:
        """The models with every line starting afresh, whatever the context of their runs."""
        return self.mixture.line_by_line()

    def perplexity(self, files: StrPath | Sequence[StrPath], context: str | None = None) -> float:
        """The perplexity of a text in files, OOVs and `</s>` included, as `seqlm eval` prints it.

        `context` is 'sentence' (every line starts afresh), 'carried' or 'window' (lines see those
        before them); None is that of the run. Errors: DataError, ModelError, UsageError.
        """
        return self.evaluate(files, context=context).figures["ppl"]

    def evaluate(
        self,
        files: StrPath | Sequence[StrPath],
        metrics: str | Sequence[str] | None = None,
        context: str | None = None,
        *,
        format: str | None = None,
        text_column: str | None = None,
        label_column: str | None = None,
    ) -> Evaluation:
        """The `metrics` of a text in files, as `seqlm eval` has them, by default those of the task.
        Each file starts afresh; `context` is that of `perplexity`. Of a tagger or a classifier the
        text is labeled, and the last three say how it is read.

        Errors: UsageError for a metric or another argument; DataError for the text; ModelError
        where the model gives scores instead of probabilities, or is a translator.
        """
        from seqlm.evaluation.evaluate import check_normalized, evaluate_language_model
        from seqlm.evaluation.metrics import select_metrics
        from seqlm.models import LABELERS

        sources = list_paths("files", files)
        names = None if metrics is None else list_texts("metrics", metrics)
        texts = {
            "context": context, "format": format, "text_column": text_column,
            "label_column": label_column,
        }  # fmt: skip
        for name, text in texts.items():
            optional_text(name, text)
        if self.task in LABELERS:
            if context is not None:
                raise UsageError("`context` is for language models")
            return self.evaluate_labels(sources, names, format, text_column, label_column)
        if (format, text_column, label_column) != (None, None, None):
            raise UsageError("`format` and columns are for taggers and classifiers")
        chosen = select_metrics(names, "lm", has_oracle=False)
        mixture = self.mixture if context is None else self.mixture.in_context(context)
        check_normalized(mixture)
        result = evaluate_language_model(mixture, sources, chosen)
        tally = result.tally
        return Evaluation(result.values, result.signature, tally.tokens, tally.lines, tally.oov)

    def evaluate_labels(
        self,
        files: Sequence[str],
        metrics: Sequence[str] | None,
        format: str | None,
        text_column: str | None,
        label_column: str | None,
    ) -> Evaluation:
        """`evaluate` of a tagger or a classifier."""
        from seqlm.evaluation.labeling.evaluate_labeler import (
            evaluate_labeler,
            figures_of,
            read_gold,
        )
        from seqlm.evaluation.metrics import select_metrics
        from seqlm.models import LABELERS
        from seqlm.text.labeled.record import names_in

        [loaded] = self.models_for(*LABELERS)
        selected = select_metrics(metrics, self.task, has_oracle=False)
        names = None if metrics is None else [metric.name for metric in selected]
        records = read_gold(loaded, files, format, text_column, names_in(label_column))
        columns = evaluate_labeler(loaded, records, names)
        figures = figures_of(columns)
        return Evaluation(
            figures={name: figure.value for name, figure in figures.items()},
            signature="\n".join(column.signature for column in columns),
            tokens=sum(len(labels) for column in columns for labels in column.gold),
            lines=len(records),
            oov=sum(column.unknown.times for column in columns if column.unknown),
            intervals={
                name: figure.interval for name, figure in figures.items() if figure.interval
            },
        )

    def rescore(
        self, file: StrPath, weights: Mapping[str, float] | None = None, name: str = "lm"
    ) -> Iterator[list[Scored]]:
        """The n-best lists of a file, each hypothesis with its score `lm`, its `features`, and the
        `candidate` that was read; with `weights`, of features by name, each list is sorted by their
        sum, the best hypothesis first.

        The file is in Moses' format, a table with columns id, text and score, or JSON lines with
        such keys. `seqlm.evaluation.rescoring.tune_lists.tune_on_lists` tunes weights.
        Errors: DataError.
        """
        from seqlm.evaluation.rescoring.log_linear import rerank, score_lists
        from seqlm.evaluation.rescoring.nbest_formats import open_nbest

        check_text("name", name)
        if weights is not None:
            check_mapping("weights", weights, Real, "a number for each feature, as {'lm': 0.5}")
        scored = score_lists(self.mixture, open_nbest(check_path("file", file)).lists(), name)
        return scored if weights is None else (rerank(each, weights) for each in scored)

    # -- text

    def next(
        self,
        history: str = "",
        k: int = 10,
        words: str | Sequence[str] | None = None,
        counts: StrPath | None = None,
    ) -> NextTokens:
        """The `k` most probable tokens after `history`, most probable first, or each of `words`,
        a list of them or a text with spaces between them: `tokens`, each with probability,
        surprisal (bits), rank, cumulative, oov, order and count; and the `entropy` (bits).

        Counts are those of an n-gram model: of the file `counts`, as `count --write-counts` writes
        it, or of the text of the run where that is still there and not large.
        Errors: UsageError where `k` is less than 1, or there are no words; DataError on a literal
        `<s>` or `</s>` among words; UsageError, DataError for `counts`.
        """
        from seqlm.decoding.next_token import next_tokens

        history = check_text("history", history)
        if words is not None and not isinstance(words, str):
            words = list_texts("words", words)
        known = self.history_counts(counts)
        return next_tokens(self.decoder, self.tokenizer, history, k, words, known)

    def history_counts(self, file: StrPath | None = None) -> HistoryCounts | None:
        """The counts of one n-gram model, in `file` or of its text; None where they are not known.

        They are read once. Errors: those of `read_history_counts`.
        """
        from seqlm.counting.history_counts import count_again, read_history_counts

        file = optional_path("counts", file)
        models = self.models_for("lm")
        if file not in self._counts:
            if file is not None and len(models) > 1:
                raise UsageError("`counts` is for one n-gram model, and not for a mixture")
            if file is not None:
                self._counts[file] = read_history_counts(models[0], file)
            else:
                self._counts[file] = count_again(models[0]) if len(models) == 1 else None
        return self._counts[file]

    def sample(self, n: int = 1, prompt: str = "", **settings: Any) -> list[str]:
        """`n` samples that go on from `prompt`.

        `settings` are those of `seqlm sample`: `temperature`, `top_k`, `top_p`, `min_p`, `seed`,
        `max_tokens`, … Equal seeds give equal samples; without a seed they are new each time.
        Errors: UsageError, DataError.
        """
        return [each.text for each in self.samples(n, prompt, **settings)]

    def samples(self, n: int = 1, prompt: str = "", **settings: Any) -> list[Sample]:
        """As `sample`, each with its `text` and its `log_prob`: natural, of what follows the
        prompt, whatever distribution it was drawn from."""
        from seqlm.decoding.decoding_settings import GenerationSettings
        from seqlm.decoding.text_generation import samples
        from seqlm.settings import make_settings

        prompt = check_text("prompt", prompt)
        chosen = make_settings(GenerationSettings, {"num_samples": n, **settings})
        return [
            each._replace(text=each.text.removesuffix("\n"))
            for each in samples(self.decoder, self.tokenizer, [prompt], chosen)
        ]

    def search(
        self, prompt: str = "", beam: int = 5, nbest: int = 1, **settings: Any
    ) -> list[Continuation]:
        """The `nbest` most probable continuations of `prompt` that a beam finds, best first, each
        with its text, log_prob and score.

        `settings` are those of `seqlm sample --beam`. Errors: UsageError, DataError.
        """
        from seqlm.decoding.decoding_settings import GenerationSettings
        from seqlm.decoding.text_generation import search_continuations
        from seqlm.settings import make_settings

        prompt = check_text("prompt", prompt)
        beam = check_number("beam", beam, low=1)
        chosen = make_settings(GenerationSettings, {"beam": beam, "nbest": nbest, **settings})
        decoder, tokenizer = self.decoder, self.tokenizer
        ((_, continuations),) = search_continuations(decoder, tokenizer, [prompt], chosen)
        return [
            continuation._replace(text=continuation.text.removesuffix("\n"))
            for continuation in continuations
        ]

    def embed(self, text: str) -> np.ndarray:
        """(T, D) float32, the features of a network after each of the T tokens of `text`.

        Errors: ModelError where the model is no network, or reads no more than so many tokens.
        """
        from seqlm.evaluation.features import token_features

        models = self.models_for("lm")
        if len(models) > 1:
            raise ModelError("a mixture has no features of its own: embed with one of its models")
        return token_features(models[0], check_text("text", text))

    def embed_words(
        self,
        sentences: str | Iterable[str | Sequence[str]],
        layers: str | int | None = None,
        pieces: Pieces | None = None,
    ) -> list[np.ndarray]:
        """(W, D) float32 for each sentence, the vectors of its W words, as `seqlm vectors embed`
        prints them: what the `layers` of a network make of a word in its sentence.

        A sentence is a text, in which white space separates the words, or a list of words. `layers`
        are 0 (the embedding), 1, .., several as "0,2", "all" or "mean", which is the default; that
        of a labeler is the mix that it has learned. `pieces` are "last", "first" or "mean".
        Errors: ModelError where the model has no vectors; UsageError.
        """
        from seqlm.decoding.embed_sentences import embed_sentences, split_sentences
        from seqlm.decoding.word_embedders import embedders_of

        models = self.models_for("lm", "tagging", "classification")
        if len(models) > 1:
            raise ModelError("a mixture has no vectors of its own: take one of its models")
        split = split_sentences(each_sentence("sentences", sentences))
        optional_text("pieces", pieces)
        chosen = None if layers is None else str(layers)
        embedded = embed_sentences(embedders_of(models[0], chosen, pieces), [split])
        return [sentence.vectors for sentence in embedded]

    # -- translations

    @overload
    def translate(self, text: str, **settings: Any) -> str: ...
    @overload
    def translate(self, text: Iterable[str], **settings: Any) -> list[str]: ...
    def translate(self, text: str | Iterable[str], **settings: Any) -> str | list[str]:
        """The best translation of a line, or of each of several.

        `settings` are those of `seqlm translate`: `beam`, `length_penalty`, …
        Errors: ModelError where this is a language model; UsageError.
        """
        lines = list_lines(list_texts("text", text))
        best = [translated.best.text for translated in self.translations(lines, **settings)]
        return best[0] if isinstance(text, str) else best

    def translations(self, lines: Iterable[str], **settings: Any) -> Iterator[TranslatedLine]:
        """The `nbest` translations of each line, each with its text, log_prob, score and, with
        `align=True`, its attention. Lines are read ahead in batches.

        Errors: as `translate`.
        """
        from seqlm.decoding.decoding_settings import TranslationSettings
        from seqlm.decoding.translation.translation_search import translate
        from seqlm.settings import make_settings

        chosen = make_settings(TranslationSettings, settings)
        return translate(*self.translator, each_text("lines", lines), chosen)

    # -- labels

    @overload
    def tag(self, sentences: str, column: str | None = None) -> list[str]: ...  # type: ignore[overload-overlap]
    @overload
    def tag(
        self, sentences: Iterable[str | Sequence[str]], column: str | None = None
    ) -> list[list[str]]: ...
    def tag(
        self, sentences: str | Iterable[str | Sequence[str]], column: str | None = None
    ) -> list[str] | list[list[str]]:
        """The tags of the words of a sentence, or of each of several.

        A sentence is a text, in which white space separates the words, or a list of words. `column`
        is one of those that the tagger has learned, by default the first.
        Errors: ModelError where this is no tagger; UsageError; DataError where the tagger reads
        columns beside the words.
        """
        from seqlm.errors import did_you_mean

        (tagger,) = self.models_for("tagging")
        column = tagger.labels.columns[0] if column is None else check_text("column", column)
        if column not in tagger.labels.columns:
            raise UsageError(f"no column {column!r}{did_you_mean(column, tagger.labels.columns)}")
        is_one = isinstance(sentences, str)
        found = self.labelings(each_sentence("sentences", sentences))
        tags = [labeled.labels.get(column, []) for labeled in found]
        return tags[0] if is_one else tags

    @overload
    def classify(self, texts: str) -> str: ...  # type: ignore[overload-overlap]
    @overload
    def classify(self, texts: Iterable[str | Sequence[str]]) -> list[str]: ...
    def classify(self, texts: str | Iterable[str | Sequence[str]]) -> str | list[str]:
        """The label of a text, or of each of several. Errors: ModelError where this is no
        classifier."""
        (classifier,) = self.models_for("classification")
        is_one = isinstance(texts, str)
        found = self.labelings(texts)
        labels = [labeled.labels[classifier.labels.columns[0]][0] for labeled in found]
        return labels[0] if is_one else labels

    def labelings(
        self, texts: Iterable[str | Sequence[str]], **settings: Any
    ) -> Iterator[LabeledRecord]:
        """The `labels` of each sentence or text; with `probabilities=True` and `nbest=N` the
        `columns` have these, too. Texts are read ahead in batches.

        Errors: ModelError where this is no tagger or classifier; UsageError; DataError.
        """
        from seqlm.decoding.labeling.label_records import label_records, records_of
        from seqlm.decoding.labeling.labeling_settings import LabelingSettings
        from seqlm.models import LABELERS
        from seqlm.settings import make_settings

        (labeler,) = self.models_for(*LABELERS)
        chosen = make_settings(LabelingSettings, settings)
        return label_records(labeler, records_of(each_sentence("texts", texts), self.task), chosen)
