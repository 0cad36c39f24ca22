"""A page with the worst and the best clips, for the eye to judge.

The page has no script and loads nothing: images and audio are part of it. Captions and
file names are untrusted: they are escaped, and a policy refuses all scripts and
requests.
"""

from __future__ import annotations

import base64
import hashlib
import html
import pathlib
import string
from collections.abc import Callable

import numpy as np
import tqdm

from keras_vatt._files import write_text
from keras_vatt._printable import printable_line
from keras_vatt.auditing._ranking import AuditedClip
from keras_vatt.auditing._report import AuditResult
from keras_vatt.auditing._settings import RANKED_BY, AuditSettings
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data.decoding._decode_ahead import decode_ahead
from keras_vatt.data.decoding._loudness import loudness_svg
from keras_vatt.data.decoding._media import MediaError
from keras_vatt.data.shards._jpegs import JpegEncoder
from keras_vatt.data.shards._pcm import to_wav
from keras_vatt.inference._clip_decoder import ClipDecoder

SHEET = "contact_sheet.html"
_FILES = pathlib.Path(__file__).with_name("static")
_FRAMES = 4
_CHOSEN = ' class="chosen"'


def write_contact_sheet(
    folder: pathlib.Path, result: AuditResult, spec: ClipSpec, settings: AuditSettings
) -> None:
    """Writes `contact_sheet.html`.

    Args:
        folder: `pathlib.Path`.
        result: `AuditResult`.
        spec: `keras_vatt.data.ClipSpec` of the model. The page has the frames and the
            audio that the model gets.
        settings: `AuditSettings`.
    """
    ranked = result.ranked
    # No clip twice: a small corpus is divided into halves.
    worst = ranked[: min(settings.sheet_clips, -(-len(ranked) // 2))]
    # The best first.
    best = ranked[len(worst) :][-settings.sheet_clips :][::-1]
    cards = _cards([*worst, *best], _drawer(spec, settings), settings)
    style = _FILES.joinpath("sheet.css").read_text("utf-8")
    page = string.Template(_FILES.joinpath("sheet.html").read_text("utf-8"))
    text = page.substitute(
        policy=_policy(style),
        style=style,
        facts=_escaped(f"{settings.data}: {'; '.join(result.scope(settings))}"),
        worst=_list(cards[: len(worst)]),
        best=_list(cards[len(worst) :]),
    )
    write_text(folder / SHEET, text)


def _policy(style):
    """Returns a policy that allows this style and inline media, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; media-src data:; "
        f"style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _cards(clips, draw, settings):
    measure = RANKED_BY[settings.by]
    drawn = tqdm.tqdm(
        decode_ahead(clips, draw, settings.num_workers),
        total=len(clips),
        desc="contact sheet",
        unit="clip",
        disable=not settings.progress,
    )
    return [_card(clip, drawing.result(), measure) for clip, drawing in drawn]


def _drawer(spec: ClipSpec, settings: AuditSettings) -> Callable[[AuditedClip], str]:
    """Returns a function from a clip to HTML of its frames and its audio."""
    video, audio = (
        ClipDecoder(modality, spec, num_windows=1, short_clips=settings.short_clips)
        for modality in ("video", "audio")
    )

    def draw(clip):
        return (
            f'<div class="frames">{_decoded(video, clip, _images)}</div>'
            f'<div class="audio">{_decoded(audio, clip, sound)}</div>'
        )

    def sound(waveform):
        return _loudness(waveform) + _player(waveform, spec.sampling_rate)

    return draw


def _decoded(decoder, clip, draw):
    try:
        (array,) = decoder(clip.segment).arrays.values()
    except MediaError as error:
        reason = f"no {decoder.modality}: {error.reason}"
        return f'<p class="missing">{_escaped(reason)}</p>'
    return draw(array[0])


def _images(frames):
    encode = JpegEncoder(*frames.shape[1:3])
    chosen = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round()
    images = [base64.b64encode(encode(frames[int(n)])).decode() for n in chosen]
    return "".join(
        f'<img alt="frame {number}" src="data:image/jpeg;base64,{image}">'
        for number, image in enumerate(images, start=1)
    )


def _loudness(waveform):
    return loudness_svg(waveform[:, 0], stretch=True)


def _player(waveform, sampling_rate):
    audio = base64.b64encode(to_wav(waveform[:, 0], sampling_rate)).decode()
    return (
        '<audio controls preload="none" aria-label="audio" '
        f'src="data:audio/wav;base64,{audio}"></audio>'
    )


def _card(clip, drawing, measure):
    rows = "".join(
        f"<tr{_CHOSEN * (name == measure)}><th>{name.replace('_', ' ')}</th>"
        f"<td>{'–' if value is None else f'{value:.3f}'}</td></tr>"
        for name, value in clip.measures().items()
    )
    caption = (
        _escaped(clip.segment.caption) or '<span class="missing">no caption</span>'
    )
    return (
        f'<li class="clip">{drawing}<div class="about">'
        f'<span class="rank">#{clip.rank}</span><p class="caption">{caption}</p>'
        f'<p class="place">{_escaped(str(clip.segment))}</p>'
        f"<table>{rows}</table></div></li>"
    )


def _list(cards):
    return f'<ol class="clips">{"".join(cards)}</ol>'


def _escaped(text):
    return html.escape(printable_line(text))
