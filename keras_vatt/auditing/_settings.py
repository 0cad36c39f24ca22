"""Settings of an audit."""

import dataclasses

from keras_vatt._setting_fields import REQUIRED, setting
from keras_vatt.data._corpus_settings import (
    allow_outside_setting,
    caption_language_setting,
    num_workers_setting,
    short_clips_setting,
)

# The values of `by`, and the measure that each of them ranks by.
RANKED_BY = {
    "gradient": "gradient_cosine",
    "similarity": "similarity",
    "loss": "loss",
}
DEFAULT_BY = "loss"


@dataclasses.dataclass(frozen=True)
class AuditSettings:
    """Settings of `audit`.

    Args:
        preset: string. A built-in preset, a folder, or `hf://owner/name`.
        data: string. A manifest or a folder of videos, see
            `keras_vatt.data.read_corpus`.
        output: string. Folder of the report.
        by: string. Measure that ranks the clips: `"gradient"`, `"similarity"` or
            `"loss"`. Defaults to `"loss"`.
        drop: float. Fraction of the ranked clips that `kept.jsonl` leaves out, the
            worst. Defaults to `None`, no `kept.jsonl`.
        sheet_clips: int. Number of worst clips, and of best clips, on the contact
            sheet. Defaults to `24`; `0` writes none.
        rounds: int. Number of random partitions of the clips into batches, over which
            losses and gradients are averaged. Defaults to `3`.
        negatives: int. Number of other clips that each clip is contrasted with. It is
            lower if the corpus has fewer clips. Defaults to `63`.
        seed: int. Seed of the partitions. Defaults to `0`.
        split: string. Split of the manifest to audit. Defaults to `None`, all clips.
        short_clips: string. Rule for clips that are shorter than the model's:
            `"repeat"`, `"pad"` or `"error"`, which skips them. Defaults to `"repeat"`.
        batch_size: int. Number of clips per batch of the encoders. Defaults to `32`.
        num_workers: int. Number of threads that decode clips. Defaults to `None`, the
            number of processors.
        progress: bool. Whether to show progress bars. Defaults to `True`.
        allow_outside: bool. Whether the corpus may refer to files outside of its
            folder. Defaults to `False`.
        caption_language: string. Language of the captions of videos that have several.
            Defaults to `"en"`.
    """

    preset: str = setting(
        REQUIRED,
        "built-in preset, preset folder, or hf://owner/name of a pre-trained model; "
        "train it on this corpus, or on one like it",
    )
    data: str = setting(
        REQUIRED,
        "manifest or folder of videos with captions, as in `keras-vatt pretrain`",
        metavar="PATH",
    )
    output: str = setting(
        REQUIRED,
        "folder for the report, the contact sheet and the features; the same folder "
        "resumes an interrupted audit",
        metavar="FOLDER",
    )
    by: str = setting(
        DEFAULT_BY,
        "measure that ranks the clips: the cosine of the gradients of the two losses, "
        "the smaller cosine of the embeddings, or the mean of the losses",
        list(RANKED_BY),
    )
    drop: float | None = setting(
        None,
        "also write kept.jsonl, a manifest without this fraction of the ranked clips, "
        "the worst",
        above=0.0,
        metavar="FRACTION",
    )
    sheet_clips: int = setting(
        24, "worst clips, and best clips, on the contact sheet; 0 for none", least=0
    )
    rounds: int = setting(
        3, "random partitions into batches that losses are averaged over", least=1
    )
    negatives: int = setting(
        63,
        "other clips that each clip is contrasted with; fewer in a smaller corpus",
        least=1,
    )
    seed: int = setting(0, "seed of the partitions", least=0)
    split: str | None = setting(
        None, "split of the manifest to audit; all clips if not given", metavar="NAME"
    )
    short_clips: str = short_clips_setting()
    batch_size: int = setting(32, "clips per batch of the encoders", least=1)
    num_workers: int | None = num_workers_setting()
    progress: bool = setting(True, "show progress bars")
    allow_outside: bool = allow_outside_setting()
    caption_language: str = caption_language_setting()
