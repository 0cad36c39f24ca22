"""Reads the stamps of Tux Paint: an image, an English caption, and its recordings.

The recordings of the stamp `animals/frog.png`, by the names of their files:

| file | recording |
|---|---|
| `frog_desc.ogg` | the caption, spoken in English |
| `frog_desc_es.ogg` | its translation, spoken in Spanish |
| `frog.ogg` | a sound effect, or the name of a number or a letter |
| `frog_es.ogg` | the same in Spanish |
"""

import collections
import dataclasses
import pathlib
import re

EFFECT = "effect"

# The names of numbers and of letters with an umlaut, in the default language.
_SPOKEN_EFFECTS = {"symbols/math": "en", "symbols/alphabets/german": "de"}
_SOUND_SUFFIXES = (".ogg", ".wav")
_RECORDING = re.compile(
    r"(?P<name>.+?)(?:_desc)?(?:_(?P<language>[a-z]{2}(?:_[A-Za-z]{2})?))?"
)
_TRANSLATION = re.compile(r"[A-Za-z_]+(?:@\w+)?\.utf8=")


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording of a stamp.

    Args:
        path: str. Path relative to the folder of the stamps.
        language: str. Such as `"es"` or `"en_GB"`, or `"effect"`.
    """

    path: str
    language: str


@dataclasses.dataclass(frozen=True)
class Stamp:
    """An image with its caption and recordings.

    Args:
        name: str. Path relative to the folder of the stamps, without a suffix.
        caption: str. English.
        recordings: tuple of `Recording`, in alphabetical order.
    """

    name: str
    caption: str
    recordings: tuple[Recording, ...]

    @property
    def image(self):
        """Path of the image, relative to the folder of the stamps."""
        return f"{self.name}.png"

    @property
    def category(self):
        """Name of the top-level folder, such as `"animals"`."""
        return self.name.partition("/")[0]

    def with_recordings(self, recordings):
        """Returns the stamp with other recordings."""
        return dataclasses.replace(self, recordings=tuple(recordings))


def find_stamps(root):
    """Finds the stamps that have an image, a caption and a recording.

    Args:
        root: path of the folder of the stamps.

    Returns:
        Tuple of a list of `Stamp`, in alphabetical order, and a `collections.Counter`
        of what is left out, by reason.
    """
    root = pathlib.Path(root)
    left_out = collections.Counter()
    images = {_name_of(path, root) for path in root.rglob("*.png")}
    vectors = {_name_of(path, root) for path in root.rglob("*.svg")}
    left_out["stamp has only an SVG image"] = len(vectors - images)
    recordings = _find_recordings(root, images, vectors - images, left_out)
    stamps = []
    for name in sorted(images):
        caption = _read_caption(root / f"{name}.txt")
        if caption is None:
            left_out["stamp has no caption"] += 1
        elif name not in recordings:
            left_out["stamp has no recording"] += 1
        else:
            found = sorted(recordings[name], key=lambda recording: recording.path)
            stamps.append(Stamp(name, caption, tuple(found)))
    return stamps, +left_out


def _find_recordings(root, images, vectors, left_out):
    """Returns the recordings of each stamp with an image that can be read."""
    recordings = collections.defaultdict(list)
    for suffix in _SOUND_SUFFIXES:
        for path in root.rglob(f"*{suffix}"):
            name, language = _parse(_name_of(path, root), images | vectors)
            if name in images:
                relative = path.relative_to(root).as_posix()
                recordings[name].append(Recording(relative, language))
            elif name in vectors:
                left_out["recording belongs to an SVG image"] += 1
            else:
                left_out["recording belongs to no image"] += 1
    return recordings


def _parse(name, stamps):
    """Returns the stamp and the language of a recording; `None` if it has no stamp."""
    if name in stamps:
        folders = (f for f in _SPOKEN_EFFECTS if name.startswith(f"{f}/"))
        folder = next(folders, None)
        return name, _SPOKEN_EFFECTS.get(folder, EFFECT)
    match = _RECORDING.fullmatch(name)
    if match["name"] in stamps:
        return match["name"], match["language"] or "en"
    return None, None


def _read_caption(path):
    """Returns the English caption: the first line that is not a translation."""
    if not path.is_file():
        return None
    for line in path.read_text("utf-8-sig", "replace").splitlines():
        line = " ".join(line.split())
        if line and not line.startswith("#") and not _TRANSLATION.match(line):
            return line
    return None


def _name_of(path, root):
    return path.relative_to(root).with_suffix("").as_posix()
