"""The split that the name of a file or of a table tells."""

import re

_TEST_WORDS = ("eval", "test", "valid")


def split_of_name(name: str) -> str:
    """Returns `"test"` if a word of a name begins with eval, test or valid, or is val.

    Others are `"train"`.

    Args:
        name: str. Name of a shard, of a table of segments, or of a split.
    """
    words = re.findall("[a-z]+", name.lower())
    is_test = any(word == "val" or word.startswith(_TEST_WORDS) for word in words)
    return "test" if is_test and "train" not in words else "train"
