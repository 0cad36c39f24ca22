"""The rules of BERT's uncased tokenizer, written down once more: slow and plain."""

import unicodedata

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "un", "##aff", "##able", "the"]
PIECES += ["quick", "fox", "##es", "jump", "##ed", "it", "s", "cafe", "naive", "straße"]
PIECES += [".", ",", "'", "’", "…", "[", "]", "!", "-", "中", "文", "cl", "##s", "##a"]

_CHINESE = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0xF900, 0xFAFF)]


def pieces_of(text, vocabulary):
    """List of the pieces of a text."""
    return [piece for word in _words(text) for piece in _split(word, vocabulary)]


def _words(text):
    text = "".join(_spaced(char) for char in text if not _is_deleted(char)).lower()
    text = unicodedata.normalize("NFD", text)
    text = "".join(char for char in text if unicodedata.category(char) != "Mn")
    return "".join(f" {c} " if _is_punctuation(c) else c for c in text).split()


def _split(word, vocabulary):
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = range(len(word), start, -1)
        known = [end for end in ends if prefix + word[start:end] in vocabulary]
        if not known:
            return ["[UNK]"]
        pieces.append(prefix + word[start : known[0]])
        start = known[0]
    return pieces


def _spaced(char):
    if char in "\t\n\r" or unicodedata.category(char) == "Zs":
        return " "
    is_chinese = any(low <= ord(char) <= high for low, high in _CHINESE)
    return f" {char} " if is_chinese else char


def _is_deleted(char):
    is_control = unicodedata.category(char) in ("Cc", "Cf") and char not in "\t\n\r"
    return is_control or char == "\ufffd"


def _is_punctuation(char):
    is_symbol = char.isascii() and char.isprintable() and not char.isalnum()
    return is_symbol and char != " " or unicodedata.category(char).startswith("P")
