"""A real labeled dataset of speech: the same words in nine languages.

    python benchmarks/spoken_language_data.py --output spoken_language

Downloads Debian's `tuxpaint-stamps-default` (161 MB), images with spoken descriptions
by volunteers in many languages, and sorts recordings by language:

    spoken_language/train/<language>/<stamp>.ogg
    spoken_language/test/<language>/<stamp>.ogg

The layout is the one that `keras-vatt evaluate --dataset folders` reads. Of the stamps
that all nine languages describe, 53 are drawn for training and 23 for testing, each
with another English caption: 477 and 207 recordings. No stamp is in both parts, so that
no word tells the language. Each language was recorded by a few volunteers with their
own microphones: the task is as much to recognize a recording as a language.

The recordings are free but under several licenses (GPL-2, CC Sampling Plus, GFDL): the
folder is for experiments, and nothing of it belongs in a repository.

`apt-get` and `dpkg-deb` are needed, as on Debian and Ubuntu.
"""

import argparse
import collections
import hashlib
import pathlib
import re
import shutil
import subprocess
import tempfile

import numpy as np

_PACKAGE = "tuxpaint-stamps-default"
LANGUAGES = ("be", "bg", "ca", "da", "el", "es", "fr", "ro", "ru")
_PARTS = {"train": 53, "test": 23}
_SEED = 0


def main():
    arguments = _arguments()
    output = pathlib.Path(arguments.output)
    if output.exists():
        raise SystemExit(f"{output} exists: remove it, or give another --output")
    with tempfile.TemporaryDirectory(dir=output.absolute().parent) as folder:
        stamps = distinct(described(download(pathlib.Path(folder))))
        partial = pathlib.Path(folder) / "spoken_language"
        for part, chosen in split(sorted(stamps)).items():
            for name in chosen:
                _copy(stamps[name], partial / part, name)
            print(f"{part}: {len(chosen)} stamps in {len(LANGUAGES)} languages")
        partial.rename(output)


def download(folder):
    """Unpack the package; returns the folder of its stamps."""
    folder.chmod(0o755)
    subprocess.run(["apt-get", "download", _PACKAGE], cwd=folder, check=True)
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "files"], check=True)
    return folder / "files/usr/share/tuxpaint/stamps"


def described(root):
    """Stamps that all languages describe: dict from name to (caption, recordings)."""
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
    """Dict from name to recordings, without a caption or a recording twice."""
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
    parser.add_argument(
        "--output", default="spoken_language", help="folder, newly made"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
