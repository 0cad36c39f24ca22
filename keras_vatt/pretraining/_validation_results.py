"""Losses and retrieval metrics of a model on held-out clips."""

import numpy as np
from keras import ops

from keras_vatt.evaluation._zero_shot_retrieval import embed_clips, ranks_of_clips
from keras_vatt.training import NamedMeans
from keras_vatt.training._harmonized_step import valid_samples

_TASKS = {"text->video": "text", "audio->video": "audio"}
_METRICS = ("recall_at_1", "recall_at_5", "recall_at_10", "median_rank")


def result_names(model):
    """Lists the names of the results of `validation_results`.

    Args:
        model: compiled `keras_vatt.VATT`.

    Returns:
        List of strings.
    """
    losses = ["val_loss", *(f"val_{loss.name}" for loss in model.branch_losses())]
    return losses + [f"{task}/{name}" for task in _tasks_of(model) for name in _METRICS]


def validation_results(model, encoder, dataset, batch_size):
    """Computes the losses and the retrieval metrics of a dataset.

    The losses are those of batches of the size of training, on which contrastive
    losses depend; the remainder of the clips is left out of them. All clips are
    encoded once, in the smaller batches of the dataset.

    Args:
        model: compiled `keras_vatt.VATT`, which has the losses.
        encoder: `keras_vatt.VATT` with the weights to evaluate.
        dataset: iterable of batches, one pass; see `zero_shot_retrieval`.
        batch_size: int.

    Returns:
        Dict from name to float, with the names of `result_names`. A value is NaN if no
        clip has the modality, and all values are if an embedding is not finite.
    """
    tasks = _tasks_of(model)
    embeddings, present = embed_clips(encoder, dataset, tasks)
    results = dict.fromkeys(result_names(model), float("nan"))
    if not all(np.isfinite(values).all() for values in embeddings.values()):
        return results
    for name, value in _losses(model, embeddings, present, batch_size).items():
        results[f"val_{name}"] = value
    for task, ranks in ranks_of_clips(embeddings, present, tasks).items():
        metrics = ranks.metrics()
        for name in _METRICS:
            results[f"{task}/{name}"] = float(getattr(metrics, name))
    return results


def _tasks_of(model):
    modalities = model.backbone.modalities
    return [task for task, modality in _TASKS.items() if modality in modalities]


def _losses(model, embeddings, present, batch_size):
    losses = model.branch_losses()
    means = NamedMeans([loss.name for loss in losses])
    num_clips = len(present["video"])
    size = min(batch_size, num_clips)
    for start in range(0, num_clips - size + 1, size):
        rows = slice(start, start + size)
        outputs = {modality: {} for modality in present}
        for (modality, name), values in embeddings.items():
            outputs[modality][name] = ops.convert_to_tensor(values[rows, 0])
        masks = {
            f"{modality}_mask": ops.convert_to_tensor(there[rows, 0], "float32")
            for modality, there in present.items()
        }
        terms = [ops.mean(loss.per_sample(outputs, masks)) for loss in losses]
        is_valid = valid_samples(losses, masks, size)
        means.update_state(ops.stack(terms), sample_weight=ops.sum(is_valid, axis=0))
    total = means.weighted_sum({loss.name: loss.weight for loss in losses})
    logs = {"loss": total, **means.result()}
    return {name: float(ops.convert_to_numpy(value)) for name, value in logs.items()}
