"""Digests of a small model of every family, and of what the commands print about it.

    python -m benchmarks.digests [--jobs 2] > before.txt

Each line is a name and a digest: of the weights of a counted or trained model, or of the standard
output of a command. Two versions of seqlm that compute the same numbers print the same lines on the
same machine and the same torch, so `diff before.txt after.txt` shows what a change of the code has
changed. Everything runs on one thread. Weights are hashed by shape, type and content and not by
name, so that renaming a module changes nothing here. Takes some minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safetensors.numpy import load_file

PROSE = "corpora/prose.train.txt"
VALID = "corpora/prose.valid.txt"
TEST = "corpora/prose.test.txt"
SOURCE, TARGET = "corpora/courtyard.train.en", "corpora/courtyard.train.fr"
TEST_SOURCE, TEST_TARGET = "corpora/courtyard.valid.en", "corpora/courtyard.valid.fr"

COUNTS = {
    "modified-kneser-ney": "--order 4",
    "kneser-ney": "--order 4 --smoothing kneser-ney",
    "kneser-ney-backoff": "--order 4 --smoothing kneser-ney --backoff",
    "absolute": "--order 3 --smoothing absolute",
    "absolute-backoff": "--order 3 --smoothing absolute --backoff",
    "witten-bell": "--order 3 --smoothing witten-bell",
    "witten-bell-backoff": "--order 3 --smoothing witten-bell --backoff",
    "good-turing": "--order 3 --smoothing good-turing --cutoffs 0,0,1",
    "jelinek-mercer": f"--order 3 --smoothing jelinek-mercer --tune {VALID}",
    "add-k": f"--order 2 --smoothing add-k --tune {VALID}",
    "stupid-backoff": "--order 3 --smoothing stupid-backoff",
    "mle": "--order 3 --smoothing mle",
    "characters": "--order 6 --tokenizer char --discount-fallback",
    "bpe": "--order 4 --tokenizer bpe --vocab-size 500 --discount-fallback",
    "pruned": "--order 4 --prune 1e-6",
    "small-vocabulary": "--order 4 --vocab-size 500 --prune-to 20000",
    "bounded-memory": "--order 4 --memory 1G",
}
SMALL = "--width 32 --steps 30 --batch-size 8"
NETWORKS = {
    "ffnn": f"--arch ffnn {SMALL} --direct",
    "rnn": f"--arch rnn {SMALL}",
    "lstm": f"--arch lstm {SMALL} --dropout-weight 0.2 --ar 1 --tar 1 --variable-length",
    "lstm-peephole": f"--arch lstm {SMALL} --peephole --softmax sampled --softmax-samples 64",
    "lstm-coupled": f"--arch lstm {SMALL} --coupled-gates --average nt-asgd",
    "gru": f"--arch gru {SMALL} --softmax adaptive --untied",
    "transformer": f"--arch transformer {SMALL} --seq-length 24",
    "llama": f"--arch transformer {SMALL} --seq-length 24 --kv-heads 2 --norm rms"
    " --positions rotary --activation swiglu --no-bias",
    "experts": f"--arch transformer {SMALL} --seq-length 24 --experts 4",
    "s4d": f"--arch s4d {SMALL}",
    "mamba": f"--arch mamba {SMALL}",
    "mamba2": f"--arch mamba2 {SMALL}",
    "char-lstm": f"--arch lstm {SMALL} --tokenizer char --scheduled-sampling linear",
    "bpe-gru": f"--arch gru {SMALL} --tokenizer bpe --vocab-size 400 --optimizer sgd"
    " --schedule plateau",
}
TINY = "--width 32 --steps 30 --batch-tokens 256 --layers 1"
TRANSLATORS = {
    "rnn-none": f"--arch rnn --attention none {TINY}",
    "lstm-additive": f"--arch lstm --attention additive {TINY} --separate-vocab",
    "gru-general": f"--arch gru --attention general --input-feeding {TINY}",
    "gru-dot": f"--arch gru --attention dot --unidirectional {TINY} --tokenizer word",
    "lstm-scaled-dot": f"--arch lstm --attention scaled-dot {TINY}",
    "transformer-translator": f"--arch transformer {TINY} --no-share-embeddings",
}


def seqlm(*arguments: str) -> str:
    """What a command prints on standard output, on one thread."""
    command = [sys.executable, "-m", "seqlm", *arguments, "-q", "--num-threads", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def weights(run: Path) -> str:
    """The digest of the tensors of the best or latest checkpoint, whatever they are called."""
    [step] = {
        (run / name).read_text().strip() for name in ("best", "latest") if (run / name).exists()
    }
    [file] = run.glob(f"*/{step}/model.safetensors")
    contents = [
        f"{tensor.dtype} {tensor.shape} {hashlib.sha256(tensor.tobytes()).hexdigest()}"
        for tensor in load_file(file).values()
    ]
    return digest("\n".join(sorted(contents)))


def language_model(name: str, run: Path) -> list[tuple[str, str]]:
    lines = [(f"{name} weights", weights(run))]
    model = ("-m", str(run))
    if name not in ("stupid-backoff", "mle"):
        for metric in ("ppl", "bits-per-byte"):
            lines.append(
                (f"{name} {metric}", seqlm("eval", *model, "--metric", metric, TEST).strip())
            )
    lines.append((f"{name} surprisal", digest(seqlm("eval", *model, "--per-token", TEST))))
    sampling = ("--temperature", "0.8", "--top-p", "0.9", "--max-tokens", "30", "-n", "5")
    lines.append((f"{name} sample", digest(seqlm("sample", *model, "--seed", "3", *sampling))))
    beam = ("--prompt", "the old", "--beam", "4", "--nbest", "2", "--max-tokens", "10")
    lines.append((f"{name} beam", digest(seqlm("sample", *model, *beam))))
    return lines


def counted(name: str, folder: Path) -> list[tuple[str, str]]:
    run = folder / name
    seqlm("count", *COUNTS[name].split(), PROSE, "-o", str(run))
    lines = language_model(name, run)
    if name not in ("jelinek-mercer", "add-k", "stupid-backoff", "mle", "characters", "bpe"):
        arpa = folder / f"{name}.arpa"
        seqlm("export", "-m", str(run), "--to", "arpa", "-o", str(arpa))
        lines.append((f"{name} arpa", digest(arpa.read_text())))
        lines.append((f"{name} arpa ppl", seqlm("eval", "-m", str(arpa), TEST).strip()))
    return lines


def trained(name: str, folder: Path) -> list[tuple[str, str]]:
    run = folder / name
    seqlm("train", *NETWORKS[name].split(), "--valid", VALID, PROSE, "-o", str(run))
    lines = language_model(name, run)
    if name == "lstm":
        adapted = ("--neural-cache", "50"), ("--dynamic", "20"), ("--cache", "50", "--tune", VALID)
        for flags in adapted:
            printed = seqlm("eval", "-m", str(run), *flags, TEST)
            lines.append((f"{name} {flags[0]}", printed.strip()))
    return lines


def translator(name: str, folder: Path) -> list[tuple[str, str]]:
    run = folder / name
    texts = ("--source", SOURCE, "--target", TARGET)
    valid = ("--valid-source", TEST_SOURCE, "--valid-target", TEST_TARGET)
    seqlm("train", *TRANSLATORS[name].split(), *texts, *valid, "-o", str(run))
    judged = ("--source", TEST_SOURCE, "--target", TEST_TARGET)
    lines = [(f"{name} weights", weights(run))]
    for metric in ("bleu", "chrf", "ppl"):
        figure = seqlm("eval", "-m", str(run), *judged, "--metric", metric)
        lines.append((f"{name} {metric}", figure.strip()))
    for flags in ("--beam 1", "--beam 4 --nbest 2", "--sample --seed 2"):
        printed = seqlm("translate", "-m", str(run), *flags.split(), TEST_SOURCE)
        lines.append((f"{name} {flags}", digest(printed)))
    return lines


def mixture(folder: Path) -> list[tuple[str, str]]:
    seqlm(
        "count", "--order", "3", "--vocab", str(folder / "gru"), PROSE, "-o", str(folder / "same")
    )
    models = ("-m", str(folder / "same"), "-m", str(folder / "gru"))
    tuned = seqlm("eval", *models, "--tune", VALID, TEST).strip()
    sampled = seqlm("sample", *models, "--mix", "0.4,0.6", "-n", "5", "--max-tokens", "30")
    return [("mixture tuned", tuned), ("mixture sample", digest(sampled))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2, help="commands side by side")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(options.jobs) as pool:
        folder = Path(name)
        work = [
            *(pool.submit(counted, each, folder) for each in COUNTS),
            *(pool.submit(trained, each, folder) for each in NETWORKS),
            *(pool.submit(translator, each, folder) for each in TRANSLATORS),
        ]
        for job in work:
            for label, value in job.result():
                print(f"{label}\t{value}", flush=True)
        for label, value in mixture(folder):
            print(f"{label}\t{value}")


if __name__ == "__main__":
    main()
