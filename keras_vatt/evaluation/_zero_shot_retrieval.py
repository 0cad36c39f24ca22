"""Zero-shot retrieval between video and text, and between video and audio."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from keras_vatt.metrics._ranking import (
    RetrievalMetrics,
    RetrievalRanks,
    retrieval_ranks,
)

if typing.TYPE_CHECKING:
    from keras_vatt.models import VATT

# Pairs of the embedding of the queries and that of the candidates.
_TASKS = {
    "text->video": (("text", "to_video"), ("video", "to_text")),
    "video->text": (("video", "to_text"), ("text", "to_video")),
    "audio->video": (("audio", "to_video"), ("video", "to_audio")),
    "video->audio": (("video", "to_audio"), ("audio", "to_video")),
}


def zero_shot_retrieval(
    model: VATT,
    dataset: Iterable[Mapping[str, np.ndarray]],
    tasks: Iterable[str] = ("text->video", "audio->video"),
    num_windows: int = 1,
    window_average: Literal["embedding", "similarity"] = "embedding",
    all_captions: bool = False,
) -> dict[str, RetrievalMetrics]:
    """Computes retrieval metrics of a pre-trained model.

    Args:
        model: `keras_vatt.VATT`.
        dataset: iterable of batches, see `keras_vatt.data.make_dataset` with
            `training=False`. Only the modalities of `tasks` are required. All clips
            are evaluated, including those of a smaller last batch.
        tasks: strings. Any of `"text->video"`, `"video->text"`, `"audio->video"` and
            `"video->audio"`. Defaults to `("text->video", "audio->video")`.
        num_windows: int. Number of adjacent examples per clip in `video` and `audio` of
            a batch. Defaults to `1`.
        window_average: string. `"embedding"` or `"similarity"`, see
            `retrieval_metrics`. Defaults to `"embedding"`.
        all_captions: bool. Whether all captions of a clip are used that are not empty,
            not only the first. Each caption is then a query, and a video matches any
            of its captions. Defaults to `False`.

    Returns:
        Dict from task to `RetrievalMetrics`. All videos are candidates. Clips without
        a caption (or without audio) are neither queries nor candidates of text (or
        audio). A task without queries is omitted.

    Raises:
        ValueError: if there is no clip, a task is unknown, a batch does not match
            `num_windows`, or an embedding is not finite.
    """
    ranks = zero_shot_ranks(
        model, dataset, tasks, num_windows, window_average, all_captions
    )
    return {task: ranks_of_task.metrics() for task, ranks_of_task in ranks.items()}


def zero_shot_ranks(
    model: VATT,
    dataset: Iterable[Mapping[str, np.ndarray]],
    tasks: Iterable[str] = ("text->video", "audio->video"),
    num_windows: int = 1,
    window_average: Literal["embedding", "similarity"] = "embedding",
    all_captions: bool = False,
) -> dict[str, RetrievalRanks]:
    """Computes the ranks behind `zero_shot_retrieval`, for confidence intervals.

    Args:
        model: see `zero_shot_retrieval`.
        dataset: see `zero_shot_retrieval`.
        tasks: see `zero_shot_retrieval`.
        num_windows: see `zero_shot_retrieval`.
        window_average: see `zero_shot_retrieval`.
        all_captions: see `zero_shot_retrieval`.

    Returns:
        Dict from task to `RetrievalRanks`.

    Raises:
        ValueError: see `zero_shot_retrieval`.
    """
    unknown = [task for task in tasks if task not in _TASKS]
    if unknown:
        raise ValueError(f"`tasks` must be of {list(_TASKS)}. Received: {unknown}")
    embeddings, present = embed_clips(model, dataset, tasks, num_windows, all_captions)
    return ranks_of_clips(embeddings, present, tasks, window_average)


def ranks_of_clips(embeddings, present, tasks, window_average="embedding"):
    """Computes the ranks of each task from the result of `embed_clips`.

    Args:
        embeddings: see `embed_clips`.
        present: see `embed_clips`.
        tasks: see `zero_shot_retrieval`.
        window_average: see `zero_shot_retrieval`.

    Returns:
        Dict from task to `RetrievalRanks`.
    """
    results = {}
    for task in tasks:
        query, candidate = _TASKS[task]
        other = candidate if query[0] == "video" else query
        has_other = present[other[0]].any(axis=1)
        if not has_other.any():
            continue
        is_candidate = has_other | (candidate[0] == "video")
        queries, query_ids = _side(embeddings, present, query, has_other)
        candidates, ids = _side(embeddings, present, candidate, is_candidate)
        results[task] = retrieval_ranks(
            queries, candidates, window_average, query_ids, ids
        )
    return results


def format_retrieval(results: Mapping[str, RetrievalMetrics]) -> str:
    """Formats the results of `zero_shot_retrieval` as a table of text."""
    header = f"{'task':<14}{'R@1':>8}{'R@5':>8}{'R@10':>8}{'MedR':>8}{'MeanR':>8}"
    lines = [f"{header}{'queries':>10}{'candidates':>12}"]
    for task, metrics in results.items():
        recalls = (metrics.recall_at_1, metrics.recall_at_5, metrics.recall_at_10)
        lines.append(
            f"{task:<14}"
            + "".join(f"{recall:>8.3f}" for recall in recalls)
            + f"{metrics.median_rank:>8.1f}{metrics.mean_rank:>8.1f}"
            + f"{metrics.num_queries:>10}{metrics.num_candidates:>12}"
        )
    return "\n".join(lines)


def _side(embeddings, present, place, wanted):
    """Returns the embeddings of some clips, one per caption, and their clips."""
    if place[0] == "text":
        return embeddings[place][present["text"]], np.nonzero(present["text"])[0]
    return embeddings[place][wanted], np.flatnonzero(wanted)


def embed_clips(model, dataset, tasks, num_windows=1, all_captions=False):
    """Computes the embeddings of all clips that some tasks need.

    Args:
        model: see `zero_shot_retrieval`.
        dataset: see `zero_shot_retrieval`.
        tasks: see `zero_shot_retrieval`.
        num_windows: see `zero_shot_retrieval`.
        all_captions: see `zero_shot_retrieval`.

    Returns:
        Dict from a modality and the name of an embedding to an array of shape
        `(clips, windows or captions, dim)`, and dict from modality to bool array of
        shape `(clips, 1 or captions)`: those present.

    Raises:
        ValueError: if there is no clip, or a batch does not match `num_windows`.
    """
    places = {place for task in tasks for place in _TASKS[task]}
    modalities = sorted({modality for modality, _ in places})
    embeddings = {place: [] for place in places}
    present = {modality: [] for modality in modalities}
    full_size = None
    for batch in dataset:
        inputs = _clips_of_batch(batch, modalities, num_windows, all_captions)
        size = len(inputs[modalities[0]])
        full_size = full_size or size
        outputs = model.encode(**{m: _filled_up(inputs[m], full_size) for m in inputs})
        for modality, name in places:
            rows = np.asarray(outputs[modality][name])
            by_clip = rows.reshape(full_size, -1, rows.shape[-1])
            embeddings[modality, name].append(by_clip[:size])
        for modality in modalities:
            mask = np.asarray(batch.get(f"{modality}_mask", np.ones(size))) > 0
            is_there = mask[:, None]
            if modality == "text" and all_captions:
                is_there = is_there & (inputs["text"] != 0).any(axis=-1)
            present[modality].append(is_there)
    if full_size is None:
        raise ValueError("`dataset` must have at least one clip. Received: none")
    return (
        {place: np.concatenate(parts) for place, parts in embeddings.items()},
        {modality: np.concatenate(parts) for modality, parts in present.items()},
    )


def _clips_of_batch(batch, modalities, num_windows, all_captions):
    """Returns inputs of shape `(clips, windows or captions, ...)`."""
    inputs = {modality: np.asarray(batch[modality]) for modality in modalities}
    for modality, rows in inputs.items():
        if modality == "text":
            inputs["text"] = rows if all_captions else rows[:, :1]
        elif len(rows) % num_windows:
            raise ValueError(
                f"A batch has {len(rows)} examples of {modality}, which is not a "
                f"multiple of {num_windows} windows per clip. Pass the `num_windows` "
                "of the dataset."
            )
        else:
            inputs[modality] = rows.reshape(-1, num_windows, *rows.shape[1:])
    sizes = {modality: len(rows) for modality, rows in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"With {num_windows} windows per clip, the modalities of a batch have "
            f"different numbers of clips: {sizes}"
        )
    return inputs


def _filled_up(rows, num_clips):
    """Flattens clips and windows to one axis, padded with the last clip.

    A last batch of another size would be compiled again.
    """
    rows = np.concatenate([rows, np.repeat(rows[-1:], num_clips - len(rows), 0)])
    return rows.reshape(-1, *rows.shape[2:])
