"""Makes a small real corpus: images with captions, voices and sound effects.

    python benchmarks/harmonization_study/stamps.py --output stamps

Downloads Debian's `tuxpaint-stamps-default` (161 MB): images ("stamps") of animals,
food, vehicles, letters and more, with English captions, and with descriptions that
volunteers speak in two dozen languages. Each clip is a view that moves over one image,
with one recording and the caption: 2.6 seconds, 10 frames per second, H.264 and 48 kHz
AAC.
`keras-vatt pretrain --data stamps` reads the folder.

Splits, with the default arguments:

- `"test"` has 300 clips of 300 stamps with distinct captions. Their recordings are not
  in another split, under any name. The images and captions are in `"train"`, with other
  recordings and other paths of the view: the test asks whether a new recording, and a
  new view of a known image, find each other and the caption.
- `"validation"` has 100 clips of the same kind, of other stamps. The library neither
  trains nor evaluates on it.
- `"train"` has all other recordings: 6,288 clips of 767 stamps, 8 per stamp in the
  median. For 1,784 of them, another stamp has the same caption ("A flower."), and 1,691
  have audio that another clip has too: most are letters, drawn in four ways.

Each row of the manifest has the `language` (`"effect"` for sound effects), the `stamp`,
its `category` (the top-level folder), the `recording`, and `audio_aligned` and
`text_aligned`, which are true. Stamps with only an SVG image are left out.

Files that exist are kept, so that an interrupted run can be repeated. A run takes five
minutes on two processors, and 230 MB of disk space. The contributions
to the package have several licenses: GPL-2, GFDL, CC-BY, CC-BY-SA, CC Sampling Plus,
public domain. Use the corpus for experiments only, and do not add its files, or weights
that were trained on it, to a repository.

`apt-get` is required, as on Debian and Ubuntu, or a package file (`--package`).
"""

import argparse
import collections
import concurrent.futures
import hashlib
import os
import pathlib
import sys
import tempfile

import tqdm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from debian_packages import download_packages, unpack_package
from stamps_media import (
    load_image,
    load_recording,
    place_recording,
    render_pan,
)
from stamps_package import find_stamps
from stamps_plans import plan_clips

from keras_vatt._claimed_folder import claim_folder
from keras_vatt.data import encode_clip, write_manifest
from keras_vatt.data.demo._clip_plans import FRAMES_PER_SECOND

_PACKAGE = "tuxpaint-stamps-default"
# Version 2022.06.04-1.
_SHA256 = "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"
_STAMPS = "usr/share/tuxpaint/stamps"
_DOWNLOADS = "package"
_MANIFEST = "manifest.jsonl"


def main():
    arguments = _arguments()
    folder = pathlib.Path(arguments.output)
    package = pathlib.Path(arguments.package) if arguments.package else None
    settings = {
        "frame_size": arguments.frame_size,
        "sampling_rate": arguments.sampling_rate,
        "pans": arguments.pans,
        "held_out": {"test": arguments.test, "validation": arguments.validation},
        "seed": arguments.seed,
    }
    if arguments.frame_size < 2 or arguments.frame_size % 2:
        raise SystemExit("--frame-size must be even")
    claim(folder, settings)
    if (folder / _MANIFEST).is_file():
        print(f"{folder} is complete")
        return
    package = package or _download(folder / _DOWNLOADS)
    check_version(package)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacked") as unpacked:
        print(f"unpacking {package.name}", flush=True)
        unpack_package(package, pathlib.Path(unpacked))
        root = pathlib.Path(unpacked) / _STAMPS
        clips, left_out = make_corpus(root, folder, settings, arguments.num_workers)
    for reason, count in sorted(left_out.items()):
        print(f"left out: {count} ({reason})")
    print(table(clips))


def claim(folder, settings):
    """Reserves a folder for a corpus with these settings.

    Raises:
        SystemExit: If the folder has another corpus or other files.
    """
    claim_folder(folder, settings, "a corpus", SystemExit)


def check_version(package):
    """Warns if a package file is not the version that the numbers were measured on."""
    if not package.is_file():
        raise SystemExit(f"{package} does not exist")
    with package.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        print(
            f"warning: {package.name} is not version 2022.06.04-1 ({_SHA256}), but "
            f"{found}: the corpus may differ",
            file=sys.stderr,
        )


def make_corpus(root, folder, settings, num_workers=None, progress=True):
    """Writes the clips that are missing, and then the manifest.

    Args:
        root: path of the folder of the stamps.
        folder: path of the folder of the corpus.
        settings: dict with `frame_size`, `sampling_rate`, `pans`, `held_out` (dict from
            the name of a split to its number of clips) and `seed`.
        num_workers: int. Number of threads. Defaults to `None`, the number of
            processors.
        progress: bool. Whether to show progress bars. Defaults to `True`.

    Returns:
        Tuple of a list of `StampClip`, and a `collections.Counter` of what was left
        out, by reason.
    """
    stamps, left_out = find_stamps(root)
    rate = settings["sampling_rate"]
    with concurrent.futures.ThreadPoolExecutor(num_workers or os.cpu_count()) as pool:

        def run(description, function, items):
            results = tqdm.tqdm(
                pool.map(function, items),
                desc=description,
                total=len(items),
                disable=not progress,
            )
            return dict(zip(items, results, strict=True))

        def fingerprint(path):
            return _fingerprint(root / path, rate)

        images = [stamp.image for stamp in stamps]
        readable = run("images", lambda path: _is_readable(root / path), images)
        recordings = [r.path for stamp in stamps for r in stamp.recordings]
        fingerprints = run("recordings", fingerprint, recordings)
        stamps = _usable(stamps, readable, fingerprints, left_out)
        clips = plan_clips(
            stamps,
            fingerprints,
            settings["held_out"],
            settings["pans"],
            settings["seed"],
        )
        for split in {clip.split for clip in clips}:
            (folder / split).mkdir(exist_ok=True)
        missing = [clip for clip in clips if not (folder / clip.path).is_file()]
        run("clips", lambda clip: _make_clip(clip, root, folder, settings), missing)
    write_manifest(folder / _MANIFEST, [clip.to_segment(folder) for clip in clips])
    return clips, left_out


def table(clips):
    """Returns a table of the clips of each language and split, as text."""
    count = collections.Counter((clip.recording.language, clip.split) for clip in clips)
    splits = ("train", "validation", "test")
    lines = ["".join(f"{name:>12}" for name in ("language", *splits))]
    for language in sorted({clip.recording.language for clip in clips}):
        numbers = [count[language, split] for split in splits]
        lines.append("".join(f"{value:>12}" for value in (language, *numbers)))
    numbers = [sum(clip.split == split for clip in clips) for split in splits]
    return "\n".join([*lines, "".join(f"{value:>12}" for value in ("all", *numbers))])


def _download(folder):
    """Returns the path of the package file, which is downloaded if it is missing."""
    folder.mkdir(exist_ok=True)
    found = sorted(folder.glob(f"{_PACKAGE}_*.deb"))
    return found[0] if found else download_packages([_PACKAGE], folder)[0]


def _usable(stamps, readable, fingerprints, left_out):
    """Returns the stamps with the recordings that can be read, and counts the others.

    A recording that a stamp has twice is kept once.
    """
    usable = []
    for stamp in stamps:
        if not readable[stamp.image]:
            left_out["image can't be read"] += 1
            continue
        recordings = {}
        for recording in stamp.recordings:
            fingerprint = fingerprints[recording.path]
            if fingerprint is None:
                left_out["recording is silent or can't be decoded"] += 1
            elif recordings.setdefault(fingerprint, recording) is not recording:
                left_out["recording equals another one of its stamp"] += 1
        if recordings:
            usable.append(stamp.with_recordings(recordings.values()))
        else:
            left_out["stamp has no recording that can be read"] += 1
    return usable


def _is_readable(path):
    try:
        load_image(path)
    except ValueError:
        return False
    return True


def _fingerprint(path, sampling_rate):
    """Returns a checksum of the audio, or `None` if it can't be used."""
    try:
        waveform = load_recording(path, sampling_rate)
    except ValueError:
        return None
    return hashlib.sha256(waveform.tobytes()).hexdigest()[:16]


def _make_clip(clip, root, folder, settings):
    generator = clip.generator()
    rate = settings["sampling_rate"]
    image = load_image(root / clip.stamp.image)
    frames = render_pan(image, generator, settings["frame_size"])
    waveform = load_recording(root / clip.recording.path, rate)
    track = place_recording(waveform, generator, rate)
    encode_clip(folder / clip.path, frames, FRAMES_PER_SECOND, track, rate)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="stamps", help="folder of the corpus")
    parser.add_argument("--package", help="package file, instead of a download")
    parser.add_argument("--frame-size", type=int, default=64, help="even, in pixels")
    parser.add_argument("--sampling-rate", type=int, default=48_000, help="in hertz")
    parser.add_argument("--pans", type=int, default=1, help="train clips per recording")
    parser.add_argument("--test", type=int, default=300, help="test clips")
    parser.add_argument("--validation", type=int, default=100, help="validation clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-workers", type=int, help="threads")
    return parser.parse_args()


if __name__ == "__main__":
    main()
