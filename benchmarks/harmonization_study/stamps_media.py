"""Makes the frames and the audio of a clip from a stamp."""

import pathlib

import av
import numpy as np
from PIL import Image

from keras_vatt.data.demo._clip_plans import DURATION, NUM_FRAMES

# Sizes in units of the longer side of the image, which is drawn on a larger canvas.
_CANVAS = 3
_SMALLEST_WINDOW, _LARGEST_WINDOW = 1.0, 1.5
_LARGEST_SHIFT = 0.2
_DARKEST_BACKGROUND = 190

# Audio quieter than this, relative to the loudest block, is silence at the ends.
_SILENCE = 0.05
_BLOCK_SECONDS = 0.01
_MARGIN_SECONDS = 0.03
_FADE_SECONDS = 0.01
_LOUDNESS = 0.12
_DELAY_SECONDS = 0.1, 0.3


def load_image(path):
    """Reads an image completely, as RGBA.

    Raises:
        ValueError: If the file can't be read, or is fully transparent.
    """
    try:
        with Image.open(path) as file:
            image = file.convert("RGBA")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error
    if image.getchannel("A").getextrema()[1] == 0:
        raise ValueError(f"{path} is transparent")
    return image


def render_pan(image, generator, size):
    """Draws an image on a plain light background, and moves a window over it.

    The window moves and grows or shrinks linearly between two random positions, so that
    part of the image may leave the frame.

    Args:
        image: `PIL.Image.Image` in RGBA.
        generator: `np.random.Generator`.
        size: int. Height and width of the frames.

    Returns:
        NumPy array of uint8, shape `(frames, size, size, 3)`.
    """
    color = tuple(generator.integers(_DARKEST_BACKGROUND, 256, size=3).tolist())
    unit = 2 * size
    canvas = Image.new("RGB", (_CANVAS * unit, _CANVAS * unit), color)
    scale = unit / max(image.size)
    image = image.resize([max(1, round(side * scale)) for side in image.size])
    corner = [(canvas.width - side) // 2 for side in image.size]
    canvas.paste(image, corner, image)

    widths = generator.uniform(_SMALLEST_WINDOW, _LARGEST_WINDOW, size=2)
    shifts = generator.uniform(-_LARGEST_SHIFT, _LARGEST_SHIFT, size=(2, 2))
    frames = []
    for time in np.linspace(0, 1, NUM_FRAMES):
        half = unit * (widths[0] + time * (widths[1] - widths[0])) / 2
        center = unit * (_CANVAS / 2 + shifts[0] + time * (shifts[1] - shifts[0]))
        box = (*(center - half).tolist(), *(center + half).tolist())
        frames.append(np.asarray(canvas.resize((size, size), box=box)))
    return np.stack(frames)


def load_recording(path, sampling_rate):
    """Decodes a recording: without silence at its ends, at a uniform loudness.

    Args:
        path: path of the recording.
        sampling_rate: int. In hertz.

    Returns:
        NumPy array of float32, in `[-1, 1]`, at most as long as a clip.

    Raises:
        ValueError: If the file can't be decoded or is silent.
    """
    waveform = _trim(_decode(path, sampling_rate), sampling_rate)
    if waveform is None:
        raise ValueError(f"{path} is silent")
    waveform = waveform[: round(DURATION * sampling_rate)]
    waveform *= _LOUDNESS / np.sqrt(np.mean(waveform**2))
    # Limits the peaks softly.
    waveform = np.tanh(waveform)
    fade = min(round(_FADE_SECONDS * sampling_rate), len(waveform))
    waveform[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return waveform


def place_recording(waveform, generator, sampling_rate):
    """Returns the audio track of a clip: silence, a recording, silence."""
    track = np.zeros(round(DURATION * sampling_rate), np.float32)
    delay = round(generator.uniform(*_DELAY_SECONDS) * sampling_rate)
    first = min(delay, len(track) - len(waveform))
    track[first : first + len(waveform)] = waveform
    return track


def _decode(path, sampling_rate):
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=sampling_rate)
    blocks = []
    try:
        with av.open(str(pathlib.Path(path))) as container:
            for frame in container.decode(audio=0):
                blocks += resampler.resample(frame)
        blocks += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{path} can't be decoded: {error}") from error
    samples = [block.to_ndarray()[0] for block in blocks]
    return np.concatenate([np.zeros(0, np.float32), *samples])


def _trim(waveform, sampling_rate):
    """Removes silence from the start and end; returns `None` if nothing is left."""
    block = round(_BLOCK_SECONDS * sampling_rate)
    count = -(-len(waveform) // block)
    padded = np.pad(waveform, (0, count * block - len(waveform)))
    loudness = np.sqrt(np.mean(padded.reshape(count, block) ** 2, axis=1))
    if not loudness.max(initial=0) > 1e-4:
        return None
    loud = np.flatnonzero(loudness > _SILENCE * loudness.max())
    margin = round(_MARGIN_SECONDS * sampling_rate)
    first = max(0, loud[0] * block - margin)
    return waveform[first : (loud[-1] + 1) * block + margin].copy()
