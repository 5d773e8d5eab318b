"""The flags of `seqlm train`: a line each for what a recipe can say too.

A name here is the name of a setting (`training/settings.py`) or of an option of an architecture (a
field of its configuration), with - for _; a test holds the three together. Values are checked where
they are used, so that flags, variables and YAML are refused in the same words.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from seqlm.cli.console import flag


class Line(NamedTuple):
    name: str
    kind: type
    help: str

    @property
    def parameter(self) -> str:
        return self.name.split("/")[0].replace("-", "_")


SECTIONS = {
    "Text": [
        Line("valid-fraction", float, "Validate on this part of the corpus, from its end."),
        Line("tokenizer", str, "word, char or bpe. [default: word; translation: bpe]"),
        Line("vocab", str, "Take the vocabulary of a run, or of a file of types."),
        Line("vocab-size", int, "The most types kept. [default: all; bpe: 4000]"),
        Line("min-count", int, "Occurrences of a type. [words: 2, or 1 if the text has <unk>]"),
        Line("context", str, "carried over lines, sentence or window. [default: the model's own]"),
    ],
    "Model": [
        Line("task", str, "lm or translation. [default: what the texts named are for]"),
        Line("arch", str, "ffnn, rnn, lstm, gru, transformer, s4d, mamba or mamba2. [default: lstm;"
             " translation, which has rnn, lstm, gru, transformer: transformer]"),
        Line("width", int, "Units of a layer. [default: 256]"),
        Line("layers", int, "Layers; ffnn has one. [default: 2; transformer, s4d, mamba, mamba2: 4;"
             " translation: 1, transformer 3, on either side]"),
        Line("embedding", int, "ffnn, rnn, lstm, gru: width of the embedding. [default: --width]"),
        Line("tied/untied", bool, "Softmax and embedding share weights. [default: tied]"),
        Line("softmax", str, "full, adaptive or sampled. [default: full]"),
        Line("cutoffs", str, "Adaptive: ids at which clusters begin. [default: cheapest]"),
        Line("samples", int, "Sampled: words that a batch is trained against. [default: 2048]"),
    ],
    "Translation": [
        Line("separate/joint", bool, "A vocabulary for each side. [default: joint]"),
        Line("max-length", int, "Tokens of either side; longer pairs are left out. [default: 100]"),
        Line("batch-tokens", int, "Rows of a batch times its longest side, of source or"
             " target. [default: 2048]"),
        Line("share-embedding/own-embedding", bool, "With a joint vocabulary, source and target"
             " are read alike. [default: shared]"),
        Line("attention", str, "rnn, lstm, gru: none, additive, dot, general or scaled-dot."
             " [default: additive]"),
        Line("input-feeding", bool, "rnn, lstm, gru: the last output is read beside the token."),
        Line("bidirectional/unidirectional", bool, "rnn, lstm, gru: of the encoder. [default:"
             " both ways]"),
        Line("valid-metric", str, "loss, bleu or chrf: what finds the best weights, and stops."
             " [default: loss]"),
    ],
    "Feed-forward, recurrent": [
        Line("order", int, "ffnn: words are predicted from the ORDER - 1 before. [default: 5]"),
        Line("direct", bool, "ffnn: embeddings reach the softmax directly, too."),
        Line("activation", str, "rnn: tanh or relu; see Transformer for its own. [default: tanh]"),
        Line("peephole", bool, "lstm: gates see their cell."),
        Line("coupled-gates", bool, "lstm: the input gate is 1 - forget."),
    ],
    "Transformer": [
        Line("heads", int, "Heads of attention. [default: 4]"),
        Line("kv-heads", int, "Heads of keys and values, shared by those. [default: as many]"),
        Line("feed-forward", int, "Hidden width of that sublayer. [default: 4 x width]"),
        Line("horizon", int, "The most tokens read at once. [default: --length]"),
        Line("norm-first/norm-last", bool, "Where norms stand. [default: first]"),
        Line("norm", str, "layer or rms. [default: layer]"),
        Line("positions", str, "learned, sinusoidal, rotary or none. [default: learned;"
             " translation: sinusoidal]"),
        # its --activation: relu, gelu, gelu-tanh or swiglu, stands above
        Line("bias/no-bias", bool, "Linear layers and norms have biases. [default: bias]"),
        Line("experts", int, "Experts in each feed-forward sublayer; 0 is an ordinary one."),
        Line("experts-active", int, "Experts a position is sent to. [default: 2]"),
        Line("experts-balance", float, "Weight of the load-balance loss. [default: 0.01]"),
        Line("experts-z", float, "Weight of the router's z-loss. [default: 0.001]"),
    ],
    "State space": [
        Line("state", int, "Numbers a channel keeps. [default: s4d 64, mamba and mamba2 16]"),
        Line("expand", int, "mamba, mamba2: inner channels for each of --width. [default: 2]"),
        Line("dt-rank", int, "mamba: rank of the step's projection. [default: --width / 16]"),
        Line("head-width", int, "mamba2: channels that forget together. [default: up to 64]"),
        Line("conv", int, "mamba, mamba2: tokens its convolution sees. [default: 4]"),
    ],
    "Regularisation": [
        Line("dropout", float, "All of the next four that the model has."),
        Line("dropout-input", float, "Of what the first layer reads. [default: 0.1;"
             " translation: 0.3, transformer 0.2]"),
        Line("dropout-hidden", float, "Between layers. [default: 0.1; translation: 0.3,"
             " transformer 0.2]"),
        Line("dropout-attention", float, "Of attention weights. [default: 0]"),
        Line("dropout-output", float, "After the last layer. [default: 0.2;"
             " translation: 0.3, transformer 0]"),
        Line("dropout-embedding", float, "Share of word types dropped. [default: 0]"),
        Line("dropout-weight", float, "Of recurrent weights (weight-drop). [default: 0]"),
        Line("ar", float, "Penalty on the size of a recurrent output. [default: 0]"),
        Line("tar", float, "Penalty on its change from step to step. [default: 0]"),
        Line("label-smoothing", float, "Share of a target given to all types. [default: 0;"
             " translation: 0.1]"),
        Line("weight-decay", float, "Decay of the weights. [default: 0; some models 0.1]"),
        Line("scheduled-sampling", str, "Feed the model its own words, ever more often: none,"
             " linear, exponential or inverse-sigmoid. [default: none]"),
        Line("scheduled-sampling-last", float, "Share of true words at the end. [default: 0.75]"),
    ],
    "Optimisation": [
        Line("epochs", int, "Passes over the corpus. [default: 6; translation: 15]"),
        Line("steps", int, "Or updates."),
        Line("batch-size", int, "Rows trained side by side. [default: 32]"),
        Line("length", int, "Tokens of a segment. [default: 35; some models more]"),
        Line("variable-length", bool, "Vary it around --length."),
        Line("accumulate", int, "Segments of an update. [default: 1]"),
        Line("optimizer", str, "adamw, adam, rmsprop or sgd. [default: adamw; with nt-asgd sgd]"),
        Line("lr", float, "Peak rate. [default: the optimiser's and the model's]"),
        Line("beta1", float, "Adam's decay of the mean gradient. [default: 0.9]"),
        Line("beta2", float, "And of its square. [default: 0.99; translation by"
             " transformer: 0.98]"),
        Line("epsilon", float, "What Adam adds to the root of that. [default: 1e-8; lstm: 1e-4]"),
        Line("beta1-lowest", float, "Where beta1 falls to at the peak of the rate."),
        Line("schedule", str, "one-cycle, cosine, constant, plateau or wsd. [default: one-cycle;"
             " transformer, translation: cosine]"),
        Line("warmup", float, "Part of the steps over which the rate rises. [default: 0;"
             " transformer: 0.05; translation: 0.1]"),
        Line("cooldown", float, "wsd: part over which it falls. [default: 0.1]"),
        Line("clip", float, "Largest norm of a gradient; 0 clips nothing. [default: 0.25; some"
             " models, translation: 1]"),
        Line("average", str, "none, ema, asgd, nt-asgd or last: weights kept. [default: none]"),
        Line("average-decay", float, "ema: its decay. [default: 0.999]"),
        Line("average-wait", int, "nt-asgd: validations without a gain. [default: 5]"),
        Line("average-last", int, "last: validations averaged over. [default: 5]"),
        Line("precision", str, "float32, bfloat16 or float16. [default: float32]"),
        Line("compile/no-compile", bool, "Compile the model by torch.compile."),
        Line("seed", int, "Equal seeds give equal weights. [default: 1]"),
    ],
    "Validation": [
        Line("valid-every", int, "Steps between validations. [default: an epoch]"),
        Line("patience", int, "Validations without a gain before stopping. [default: 3]"),
        Line("tolerance", float, "Nats a token, or points of the metric, that make a gain."
             " [default: 0]"),
        Line("tensorboard/no-tensorboard", bool, "Write its event files into the run."),
    ],
}  # fmt: skip
NAMES = [line.parameter for lines in SECTIONS.values() for line in lines]


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command that ends in **settings a parameter for each line above."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    more = []
    for section, lines in SECTIONS.items():
        for line in lines:
            names = "/".join(f"--{name}" for name in line.name.split("/"))
            option = flag(names, help=line.help, rich_help_panel=section)
            kind = Annotated[line.kind | None, option]  # type: ignore[name-defined]
            more.append(
                inspect.Parameter(
                    line.parameter, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind
                )
            )
    changed: Any = command
    changed.__signature__ = signature.replace(parameters=[*own, *more])
    changed.__annotations__ = {p.name: p.annotation for p in [*own, *more]}
    return command
