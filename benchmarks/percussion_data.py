"""Downloads a real labeled audio dataset: percussion recordings, by kit.

    python benchmarks/percussion_data.py --output percussion

Downloads two Debian packages (165 MB), the drum kits of Hydrogen and the samples of
Sonic Pi, and sorts their recordings by instrument and kit:

    percussion/<kit>/<class>/<recording>

The class is derived from the name of the instrument in the kit's `drumkit.xml`, or from
the file name. Classes with fewer than 20 recordings or fewer than 3 kits are left out.
Licenses differ between kits (CC0, CC-BY, CC-BY-SA, GPL-2). Use the files for
experiments only, and do not add them to a repository.

`apt-get` is required, as on Debian and Ubuntu.
"""

import argparse
import collections
import pathlib
import re
import shutil
import tempfile
import xml.etree.ElementTree

from debian_packages import download_and_unpack

_PACKAGES = ("hydrogen-drumkits", "sonic-pi-samples")
# The first pattern that matches the lowercase name gives the class.
_CLASSES = {
    "snare": r"snare|^sn_",
    "stick": r"stick|rim click",
    "open hat": r"(hat|hi-hat|hh).*(open|\bop\b)|(open|semi-open).*(hat|hh)",
    "closed hat": r"(hat|hi-hat|hh).*(clos|\bcl\b|pedal|\bpd\b)|(clos|pedal).*(hat|hh)",
    "crash": r"crash(?!/ride)|splash|china",
    "ride": r"ride",
    "kick": r"kick|bass ?drum|^bd_",
    "tom": r"\btom|tomhi|_tom_|floor",
    "clap": r"clap",
    "cowbell": r"cowbell|agogo",
    "hand drum": r"conga|bongo|djembe|cajon|tabla",
    "shaker": r"shaker|maraca|tambourine",
}
_MIN_RECORDINGS, _MIN_KITS = 20, 3


def main():
    arguments = _arguments()
    output = pathlib.Path(arguments.output)
    if output.exists():
        raise SystemExit(f"{output} exists: remove it or choose another --output")
    with tempfile.TemporaryDirectory(dir=output.absolute().parent) as folder:
        root = download(pathlib.Path(folder))
        recordings = kept([*of_hydrogen(root), *of_sonic_pi(root)])
        partial = pathlib.Path(folder) / "percussion"
        for kit, label, path in recordings:
            target = partial / kit / label / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        partial.rename(output)
    print(table(recordings))


def download(folder):
    """Unpacks the packages, and returns the folder of their files."""
    return download_and_unpack(_PACKAGES, folder) / "usr" / "share"


def of_hydrogen(root):
    """Returns the recordings of Hydrogen's kits: (kit, class, path)."""
    for description in sorted((root / "hydrogen/data/drumkits").glob("*/drumkit.xml")):
        kit = description.parent
        for element in xml.etree.ElementTree.parse(description).iter():
            if not element.tag.endswith("instrument"):
                continue
            texts = [(e.tag.rpartition("}")[2], e.text) for e in element.iter()]
            name = next((text for tag, text in texts if tag == "name"), None)
            label = class_of(name or "")
            files = {text for tag, text in texts if tag == "filename" and text}
            for path in sorted(kit / file for file in files):
                if label and path.parent == kit and path.is_file():
                    yield kit.name, label, path


def of_sonic_pi(root):
    """Returns the recordings of Sonic Pi, as one kit."""
    for path in sorted((root / "sonic-pi/samples").glob("*.flac")):
        label = class_of(path.stem)
        if label and not path.stem.startswith("loop"):
            yield "sonic-pi", label, path


def class_of(name):
    """Returns the class of an instrument name, or `None` if it is unknown."""
    name = name.lower()
    return next((c for c, rule in _CLASSES.items() if re.search(rule, name)), None)


def kept(recordings):
    """Returns the recordings of sufficiently large classes, without duplicates."""
    recordings = list({path: (kit, c, path) for kit, c, path in recordings}.values())
    count = collections.Counter(label for _, label, _ in recordings)
    kits = collections.defaultdict(set)
    for kit, label, _ in recordings:
        kits[label].add(kit)
    large = {
        c for c in count if count[c] >= _MIN_RECORDINGS and len(kits[c]) >= _MIN_KITS
    }
    return [recording for recording in recordings if recording[1] in large]


def table(recordings):
    """Returns a table of the recordings and kits of each class, as text."""
    count = collections.Counter(label for _, label, _ in recordings)
    lines = [f"{'class':12}{'recordings':>12}{'kits':>6}"]
    for label, number in count.most_common():
        kits = {kit for kit, other, _ in recordings if other == label}
        lines.append(f"{label:12}{number:>12}{len(kits):>6}")
    kits = {kit for kit, _, _ in recordings}
    return "\n".join([*lines, f"{'all':12}{len(recordings):>12}{len(kits):>6}"])


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="percussion", help="folder to create")
    return parser.parse_args()


if __name__ == "__main__":
    main()
