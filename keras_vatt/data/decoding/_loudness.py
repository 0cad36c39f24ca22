"""A drawing of the loudness of a waveform."""

import numpy as np

_BARS = 60


def loudness_svg(waveform: np.ndarray, stretch: bool = False) -> str:
    """Draws the loudness of a waveform as bars.

    Args:
        waveform: float array of shape `(samples,)`.
        stretch: bool. Whether the drawing fills its place of any aspect ratio. Defaults
            to `False`.

    Returns:
        String, an `<svg>` element without scripts and references.
    """
    peaks = [
        float(np.abs(part).max(initial=0)) for part in np.array_split(waveform, _BARS)
    ]
    largest = max(max(peaks), 1e-4)
    bars = []
    for number, peak in enumerate(peaks):
        height = max(2.0, 120 * peak / largest)
        bars.append(
            f'<rect x="{20 + 7.4 * number:.1f}" y="{135 - height / 2:.1f}" width="4" '
            f'height="{height:.1f}" rx="2" fill="#7c9cf5"/>'
        )
    ratio = ' preserveAspectRatio="none"' if stretch else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 270"{ratio}>'
        f'<rect width="480" height="270" fill="#1b2030"/>{"".join(bars)}</svg>'
    )
