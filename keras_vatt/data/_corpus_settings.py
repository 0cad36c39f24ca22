"""Settings that the commands which read a corpus have in common.

Each function returns a new field of a settings dataclass.
"""

from typing import Any

from keras_vatt._setting_fields import setting
from keras_vatt.data.decoding._short_clips import SHORT_CLIPS


def short_clips_setting() -> Any:
    """Returns the field of the rule for clips shorter than the model's."""
    return setting(
        "repeat",
        "rule for clips shorter than those of the model: repeat them from the "
        "beginning, pad them with black frames and silence, or skip them (error)",
        SHORT_CLIPS,
    )


def num_workers_setting() -> Any:
    """Returns the field of the number of threads that decode clips."""
    return setting(None, "decoding threads; one per processor if not given", least=1)


def allow_outside_setting(scope: str = "") -> Any:
    """Returns the field that allows files outside of the folder of a corpus.

    Args:
        scope: string. Data that the setting is for, as the beginning of its help text.
            Defaults to `""`, all data.
    """
    return setting(
        False,
        f"{scope}read files outside the folder of --data: absolute paths in a "
        "manifest, links to other files and folders; only for data that you trust",
    )


def caption_language_setting(scope: str = "") -> Any:
    """Returns the field of the language of the captions.

    Args:
        scope: string. Data that the setting is for, as the beginning of its help text.
            Defaults to `""`, all data.
    """
    return setting("en", f"{scope}language of the captions of videos that have several")
