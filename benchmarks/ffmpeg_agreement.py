"""Compares decoded clips of 110 kinds of media file with the `ffmpeg` program.

    PYTHONPATH=. python benchmarks/ffmpeg_agreement.py --json after.json
    PYTHONPATH=. python benchmarks/ffmpeg_agreement.py --compare before.json

The files and windows are those of the tests. Each file gives one line: the number of
wrong frames in four windows and the largest difference of a frame, in levels of 255;
the lowest signal-to-noise ratio of a waveform relative to that of `ffmpeg`; or the
error.
"""

import argparse
import json
import pathlib
import tempfile

from keras_vatt.data import MediaError, decode_frames, decode_waveform
from tests.data._ffmpeg_cases import AUDIOS, VIDEOS, write_case
from tests.data._ffmpeg_comparison import (
    SPEC,
    audio_starts,
    frame_difference,
    has_audio,
    video_starts,
    waveform_noise,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="only files with this in the name")
    parser.add_argument("--json", help="file to write the results to")
    parser.add_argument("--compare", help="earlier file of `--json` to compare with")
    arguments = parser.parse_args()
    rows = {}
    before = {}
    if arguments.compare:
        before = json.loads(pathlib.Path(arguments.compare).read_text())
    print("| file | before | after |\n|---|---|---|" if before else "| file | now |")
    with tempfile.TemporaryDirectory() as folder:
        for name in filter(lambda name: arguments.only in name, (*VIDEOS, *AUDIOS)):
            rows[name] = _row(name, pathlib.Path(folder))
            cells = [name, *([before.get(name, "")] if before else []), rows[name]]
            print(f"| {' | '.join(cells)} |", flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1))


def _row(name, folder):
    path = folder / name / name
    path.parent.mkdir()
    case = VIDEOS.get(name) or AUDIOS[name]
    write_case(path, case, has_video=name in VIDEOS)
    cells = [_frames(path)] if name in VIDEOS else []
    cells += [_waveforms(path)] if has_audio(name) else []
    return "; ".join(cells)


def _frames(path):
    wrong, levels, errors = 0, 0.0, []
    starts = video_starts(path)
    for start in starts.values():
        try:
            frames = decode_frames(path, start, SPEC)
        except MediaError as error:
            errors.append(error.reason)
            continue
        difference = frame_difference(path, frames, start)
        wrong += difference.wrong
        levels = max(levels, difference.levels)
    count = SPEC.num_frames * (len(starts) - len(errors))
    return _cell(f"{wrong} of {count} frames wrong, {levels:.1f} levels", errors)


def _waveforms(path):
    ratios, errors = [], []
    for start in audio_starts(path).values():
        try:
            waveform = decode_waveform(path, start, SPEC)
        except MediaError as error:
            errors.append(error.reason)
            continue
        ratios.append(waveform_noise(path, waveform, start))
    return _cell(f"{min(ratios, default=0):.0f} dB", errors)


def _cell(text, errors):
    if not errors:
        return text
    return f"{len(errors)} of 4 refused ({errors[0]:.60}), {text}"


if __name__ == "__main__":
    main()
