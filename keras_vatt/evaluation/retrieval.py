"""Zero-shot retrieval: find the video that a text or a sound belongs to."""

import numpy as np

from keras_vatt.evaluation.ranking import retrieval_metrics

_INPUTS = ("video", "audio", "text")
# Which embedding of the queries is compared with which one of the videos, and
# the mask without which a clip has no query.
_TASKS = {
    "text->video": (("text", "to_video"), ("video", "to_text"), "text_mask"),
    "audio->video": (("audio", "to_video"), ("video", "to_audio"), "audio_mask"),
}


def zero_shot_retrieval(model, dataset):
    """Text->video and audio->video retrieval by a pre-trained model.

    Args:
        model: `keras_vatt.VATT`.
        dataset: iterable of batches as `keras_vatt.data.make_dataset` gives them
            with `training=False`. Of several captions of a clip the first is
            the query.

    Returns:
        Dict from `"text->video"` and `"audio->video"` to `RetrievalMetrics`. The
        candidates are all videos; clips without a caption, or without sound,
        ask nothing. A task of which no clip can ask is left out.

    Raises:
        ValueError: if there is no clip at all, or an embedding is not finite.
    """
    embeddings, masks = _embed(model, dataset)
    results = {}
    for task, (query, video, mask_name) in _TASKS.items():
        asks = masks[mask_name] > 0
        if asks.any():
            # Clips that ask come first, so that query i matches candidate i.
            order = np.argsort(~asks, kind="stable")
            results[task] = retrieval_metrics(
                embeddings[query][asks], embeddings[video][order]
            )
    return results


def format_retrieval(results):
    """Return the results of `zero_shot_retrieval` as a table of text."""
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


def _embed(model, dataset):
    """Embeddings of all clips, without keeping the features of all tokens."""
    wanted = {place for query, video, _ in _TASKS.values() for place in (query, video)}
    embeddings = {place: [] for place in wanted}
    masks = {mask: [] for _, _, mask in _TASKS.values()}
    batch_size = None
    for batch in dataset:
        num_clips = len(batch["video"])
        batch_size = batch_size or num_clips
        # A last batch of another size would be compiled anew.
        full = {name: _filled_up(batch[name], batch_size) for name in _INPUTS}
        outputs = model.encode(full["video"], full["audio"], full["text"][:, 0])
        for modality, name in wanted:
            embeddings[modality, name].append(outputs[modality][name][:num_clips])
        for mask, values in masks.items():
            values.append(np.asarray(batch[mask]))
    if not masks["text_mask"]:
        raise ValueError("There is no clip to evaluate.")
    concatenate = np.concatenate
    return (
        {place: concatenate(arrays) for place, arrays in embeddings.items()},
        {mask: concatenate(arrays) for mask, arrays in masks.items()},
    )


def _filled_up(array, num_rows):
    array = np.asarray(array)
    return np.concatenate([array, np.repeat(array[-1:], num_rows - len(array), 0)])
