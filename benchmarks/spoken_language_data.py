"""Downloads a real labeled speech dataset: the same words in nine languages.

    python benchmarks/spoken_language_data.py --output spoken_language

Downloads Debian's `tuxpaint-stamps-default` (161 MB), images ("stamps") with
descriptions spoken by volunteers in many languages, and sorts the recordings by
language:

    spoken_language/train/<language>/<stamp>.ogg
    spoken_language/test/<language>/<stamp>.ogg

`keras-vatt evaluate --dataset folders` reads this layout. Of the stamps that are
described in all nine languages, 53 are drawn for training and 23 for testing, each with
a different English caption: 477 and 207 recordings. No stamp is in both parts, so a
word cannot reveal its language. A few volunteers recorded each language with their own
microphones, so a model may also recognize the recording conditions instead of the
language.

The recordings are free, under several licenses (GPL-2, CC Sampling Plus, GFDL). Use
them for experiments only, and do not add them to a repository.

`apt-get` is required, as on Debian and Ubuntu.
"""

import argparse
import collections
import hashlib
import pathlib
import re
import shutil
import tempfile

import numpy as np
from debian_packages import download_and_unpack

_PACKAGE = "tuxpaint-stamps-default"
LANGUAGES = ("be", "bg", "ca", "da", "el", "es", "fr", "ro", "ru")
_PARTS = {"train": 53, "test": 23}
_SEED = 0


def main():
    arguments = _arguments()
    output = pathlib.Path(arguments.output)
    if output.exists():
        raise SystemExit(f"{output} exists: remove it or choose another --output")
    with tempfile.TemporaryDirectory(dir=output.absolute().parent) as folder:
        stamps = distinct(described(download(pathlib.Path(folder))))
        partial = pathlib.Path(folder) / "spoken_language"
        for part, chosen in split(sorted(stamps)).items():
            for name in chosen:
                _copy(stamps[name], partial / part, name)
            print(f"{part}: {len(chosen)} stamps in {len(LANGUAGES)} languages")
        partial.rename(output)


def download(folder):
    """Unpacks the package, and returns the folder of its stamps."""
    return download_and_unpack([_PACKAGE], folder) / "usr/share/tuxpaint/stamps"


def described(root):
    """Returns the stamps with all languages, by name: (caption, recordings)."""
    found = collections.defaultdict(dict)
    for path in sorted(root.rglob("*.ogg")):
        match = re.fullmatch(r"(.+)_desc_([a-z]{2})\.ogg", path.name)
        if match and match[2] in LANGUAGES:
            found[path.with_name(match[1]).relative_to(root)][match[2]] = path
    return {
        "-".join(stamp.parts): (_caption(root / stamp), recordings)
        for stamp, recordings in found.items()
        if len(recordings) == len(LANGUAGES)
    }


def distinct(stamps):
    """Removes duplicate captions and recordings: dict from name to recordings."""
    kept, seen = {}, set()
    for name, (caption, recordings) in sorted(stamps.items()):
        contents = {_digest(path) for path in recordings.values()}
        facts = contents | {caption}
        if len(contents) == len(LANGUAGES) and not facts & seen:
            kept[name] = recordings
        seen |= facts
    return kept


def split(names):
    """Draws the stamps of each part: dict from part to a list of names."""
    order = np.random.default_rng(_SEED).permutation(names)
    bounds = np.cumsum(list(_PARTS.values()))
    return dict(zip(_PARTS, np.split(order[: bounds[-1]], bounds[:-1]), strict=True))


def _copy(recordings, folder, name):
    for language, path in recordings.items():
        target = folder / language / f"{name}.ogg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _caption(stamp):
    path = stamp.with_name(f"{stamp.name}.txt")
    lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
    return lines[0].strip().casefold() if lines else stamp.name


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="spoken_language", help="folder to create")
    return parser.parse_args()


if __name__ == "__main__":
    main()
