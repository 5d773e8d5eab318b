"""seqlm: train, score, sample and compare language models, from n-grams to Mamba.

`seqlm.load`, `count`, `train`, `mix` and `resume` return a `Model`, which scores, samples,
translates and labels, or `Vectors`, which find the words near a word. `import seqlm` imports no
torch: what needs it imports it.
"""

from seqlm.api import count, export, load, mix, resume, train
from seqlm.errors import DataError, ModelError, SeqlmError, UsageError
from seqlm.machine.threads import let_threads_sleep
from seqlm.model import Evaluation, Model
from seqlm.vectors import Vectors
from seqlm.version import __version__

let_threads_sleep()

__all__ = [
    "DataError",
    "Evaluation",
    "Model",
    "ModelError",
    "SeqlmError",
    "UsageError",
    "Vectors",
    "__version__",
    "count",
    "export",
    "load",
    "mix",
    "resume",
    "train",
]
