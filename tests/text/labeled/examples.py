"""An example of each format, with what is difficult in it, and a short way to read text."""

from __future__ import annotations

from typing import Any

from seqlm.text.labeled.record import FormatOptions, Record
from seqlm.text.labeled.record_files import FORMATS


def tabs(text: str) -> str:
    """Written with spaces, so that it can be read here; a `~` is a space in a cell."""
    lines = text.split("\n")
    return "\n".join(
        line if line.startswith("#") else line.replace(" ", "\t").replace("~", " ")
        for line in lines
    )


CONLLU = tabs("""# newdoc id = ponds
# sent_id = 1
# text = Herons don't eat 10 000 frogs
1 Herons heron NOUN NNS Number=Plur 3 nsubj 4:nsubj _
2-3 don't _ _ _ _ _ _ _ SpaceAfter=No
2 do do AUX VBP _ 4 aux 4:aux _
3 n't not PART RB _ 4 advmod 4:advmod _
4 eat eat VERB VB VerbForm=Inf 0 root 0:root _
4.1 up up ADP RP _ _ _ 4:compound _
5 10~000 10~000 NUM CD NumType=Card 6 nummod 6:nummod _
6 frogs frog NOUN NNS Number=Plur 4 obj 4:obj _

# sent_id = 2
1 Réeds\u00a0 reed NOUN NNS _ 0 root 0:root _


# a comment behind the last sentence
""")
COLUMNS = """-DOCSTART- -X- -X- O

The DT B-NP O
old\u00a0pond  NN I-NP  B-LOC
 froze VBD B-VP O\t

_ : O O
# # B-NP O
 \t
""".replace("\t", " ")
EXAMPLES = {
    ("tagging", "conllu"): CONLLU,
    ("tagging", "columns"): COLUMNS,
    ("tagging", "word-tag"): "The_DT old\u00a0pond_NN  froze_VBD\n\n snake_case_NN ___: \n",
    ("tagging", "text"): "The old pond froze over .\n\n  A heron\u00a0waits\there\n",
    ("classification", "label-text"): "pos\tA warm , funny film .\nneg\tNot\tmuch\n\nneg\t\n",
    ("classification", "fasttext"): "__label__pos A warm film .\n\n Not much  __label__neg\n",
    ("classification", "text"): "A warm , funny film .\n\n Not much\n",
    ("classification", "csv"): (
        '\nid,text,label\n1,"A ""warm"", funny\nfilm",pos\n\n2,,"a, b"\n3,Not much,neg\n\n'
    ),
    ("classification", "tsv"): 'label\ttext\nneg\tNot much, "no"\n"p\tos"\t"A ""warm""\n\nfilm"\n',
    ("classification", "jsonl"): (
        '{"text": "A \\"warm\\" film", "label": "pos"}\n\n {"label" : 1,"text":"{}\\u00e9"} \n'
    ),
}
"""The text of each task and format."""


def read(task: Any, name: str, text: str, labels_needed: bool = False, **options: str) -> list:
    """The records of a text in the format `name`, lines between them included."""
    format = FORMATS[task][name]("file", FormatOptions(**options), labels_needed)
    return list(format.read(iter(text.split("\n")[:-1])))


def sentences(task: Any, name: str, text: str, **options: Any) -> list[Record]:
    """The records of a text that are not blank."""
    return [record for record in read(task, name, text, **options) if not record.is_blank]


def written(records: list[Record], **predicted: list[list[str]]) -> str:
    """The text of `records`, with labels for each of those that are not blank."""
    rows = iter([dict(zip(predicted, values)) for values in zip(*predicted.values())])
    return "".join(
        record.format.write(record, {} if record.is_blank else next(rows, {})) for record in records
    )
