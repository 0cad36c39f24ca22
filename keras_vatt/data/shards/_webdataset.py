"""WebDataset shards: tar files in which the files of a sample have a common name.

A sample is either `NAME.mp4` (or another video), with the captions in `NAME.txt` or
`NAME.json`; or, as `keras_vatt` writes it, `NAME.000000.jpg`, ... with
`NAME.wav` and `NAME.json`.
"""

from __future__ import annotations

import io
import json
import math
import re
import tarfile

from keras_vatt._range_file import RangeFile
from keras_vatt._untrusted import parse_json
from keras_vatt.data.decoding._media_suffixes import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from keras_vatt.data.shards._pcm import from_wav, to_wav
from keras_vatt.data.shards._record_files import OffsetFile
from keras_vatt.data.shards._stored_clip import StoredClip, StoredFile, StoredFrames

_BLOCK = tarfile.BLOCKSIZE
_JPEG_SUFFIXES = (".jpg", ".jpeg")
# Zeros at the end of a tar file fill it up to a multiple of 10 kB, or a little more.
_LONGEST_END = 2**20
# Seconds, or frames per second, that are not believed.
_LARGEST = 1e9
# Columns of a sample's JSON that may hold its caption, in the order of preference.
_CAPTIONS = ("captions", "caption", "text")


class TarFile(OffsetFile):
    """The samples of a tar file by index. A record is the part of the tar file.

    Without offsets, it is scanned, which reads each header.
    """

    def read(self, index: int) -> bytes:
        """Returns the bytes of a sample, see `RecordFile`."""
        return self._record(index)

    def _scan(self):
        """Finds the samples, and whether the file ends as a tar file should."""
        offsets, name, end = [], None, 0
        ranges = self._bytes
        file = RangeFile(
            ranges.place,
            ranges.size,
            lambda start, end: ranges.read(start, end - start),
        )
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    if member.isreg() and sample_name(member.name) != name:
                        offsets.append(member.offset)
                        name = sample_name(member.name)
                    end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
            # It takes a damaged header for the end.
            is_whole = self._has_end_at(end)
        except (tarfile.TarError, ValueError, EOFError, RecursionError):
            is_whole = False
        if not is_whole:
            if offsets:  # Files of the last sample may be missing.
                end = offsets.pop()
            self.damage = f"it is damaged or truncated after {len(offsets)} samples"
        return [*offsets, end]

    def _has_end_at(self, end):
        """Returns whether the file ends with zeros, of at least two blocks."""
        rest = self._bytes.size - end
        if not 2 * _BLOCK <= rest <= _LONGEST_END:
            return False
        return not any(self._bytes.read(end, rest))


class TarWriter:
    """Writes samples to a tar file, which depends on their content alone.

    Args:
        path: path of the file.

    Attributes:
        offsets: List of ints, the position of each sample, and the end of the last.
    """

    def __init__(self, path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self.offsets = [0]

    def write(self, record: bytes) -> None:
        """Appends a sample that `pack_sample` has returned."""
        self._tar.fileobj.write(record)
        self._tar.offset += len(record)
        self.offsets.append(self._tar.offset)

    def close(self) -> None:
        """Closes the file."""
        self._tar.close()


def sample_name(name: str) -> str:
    """Returns the name of the sample that a file belongs to: up to the first dot."""
    folder, slash, base = name.rpartition("/")
    return f"{folder}{slash}{base.partition('.')[0]}"


def pack_sample(clip: StoredClip, name: str) -> bytes:
    """Returns the part of a tar file with a clip that has `StoredFrames`.

    Args:
        clip: `StoredClip`. Its waveform is rounded to 16 bits.
        name: str. Name of the sample, without dots.
    """
    media = clip.media
    description = {
        "captions": list(clip.captions),
        "name": clip.name,
        "start": clip.start,
        "end": clip.end,
        "labels": list(clip.labels),
        "frames_per_second": media.frames_per_second,
    }
    files = [("json", json.dumps(description).encode())]
    if media.waveform is not None:
        files.append(("wav", to_wav(media.waveform, media.sampling_rate)))
    files += [(f"{k:06d}.jpg", image) for k, image in enumerate(media.images)]
    return b"".join(_member(f"{name}.{suffix}", data) for suffix, data in files)


def unpack_sample(
    record: bytes, frames_per_second: float = 10.0, sampling_rate: int = 48_000
) -> StoredClip:
    """Reads a clip from the part of a tar file that has its files.

    Args:
        record: `bytes`.
        frames_per_second: float. Rate of the frames, if the sample has none. Defaults
            to `10.0`.
        sampling_rate: int. Not used: audio files have a rate. Defaults to `48_000`.

    Returns:
        `StoredClip`.

    Raises:
        ValueError: If there is no video, or a file of the sample is damaged.
    """
    files = _files_of(record)
    description = _description(files)
    video = _first_of(files, VIDEO_SUFFIXES)
    audio = _first_of(files, AUDIO_SUFFIXES)
    if video is not None:
        media = StoredFile(video, audio)
    else:
        rate = description.get("frames_per_second", frames_per_second)
        media = _frames(files, rate, audio)
    return StoredClip(
        media,
        captions=_captions(files, description),
        name=_text(description.get("name") or description.get("key")),
        start=_number(description.get("start")) or 0.0,
        end=_number(description.get("end")),
        labels=tuple(map(_text, _list(description.get("labels")))),
    )


def _member(name, data):
    header = tarfile.TarInfo(name)
    header.size, header.mtime = len(data), 0
    padding = b"\0" * (-len(data) % _BLOCK)
    return header.tobuf(tarfile.USTAR_FORMAT) + data + padding


def _files_of(record):
    """Returns the files of a sample: from what follows the first dot, to `bytes`."""
    try:
        with tarfile.open(fileobj=io.BytesIO(record), mode="r:") as tar:
            return {
                _suffix(member.name): tar.extractfile(member).read()
                for member in tar
                if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
            }
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"it is damaged ({error})") from error


def _suffix(name):
    return "." + name.rpartition("/")[2].partition(".")[2].lower()


def _first_of(files, suffixes):
    return next((data for name, data in files.items() if name in suffixes), None)


def _frames(files, rate, audio):
    names = sorted(filter(_is_jpeg, files), key=_frame_number)
    if not names:
        found = ", ".join(sorted(files)[:5]) or "nothing"
        raise ValueError(f"it has no video and no JPEG images, but {found}")
    rate = _number(rate)
    if rate is None or not 0 < rate < math.inf:
        raise ValueError("its `frames_per_second` is not a positive number")
    images = tuple(files[name] for name in names)
    if audio is None:
        return StoredFrames(images, rate, None, 48_000)
    return StoredFrames(images, rate, *from_wav(audio))


def _is_jpeg(name):
    return name.endswith(_JPEG_SUFFIXES)


def _frame_number(name):
    """Returns a sort key: by the numbers in a name, as 9.jpg comes before 10.jpg."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if part.isdigit() else part for part in parts]


def _description(files):
    text = files.get(".json")
    if text is None:
        return {}
    try:
        description = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its JSON can't be read ({error})") from error
    return description if isinstance(description, dict) else {}


def _captions(files, description):
    text = files.get(".txt")
    if text is not None:
        found = [text.decode("utf-8", "replace")]
    else:
        column = next((name for name in _CAPTIONS if description.get(name)), None)
        found = _list(description.get(column))
    captions = (" ".join(_text(caption).split()) for caption in found)
    return tuple(filter(None, captions))


def _list(value):
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value):
    # JSON may hold half of a surrogate pair, which can't be written again.
    is_text = isinstance(value, str)
    return value.encode("utf-8", "replace").decode() if is_text else ""


def _number(value):
    """Returns a finite number, `None` for all else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < _LARGEST else None
