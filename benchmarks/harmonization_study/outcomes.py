"""Outcomes of a run: retrieval in both directions, and linear probes."""

import numpy as np

from keras_vatt.evaluation import linear_probe
from keras_vatt.metrics import retrieval_metrics

_BATCH = 128
RETRIEVAL = {
    "text->video": (("text", "to_video"), ("video", "to_text")),
    "video->text": (("video", "to_text"), ("text", "to_video")),
    "audio->video": (("audio", "to_video"), ("video", "to_audio")),
    "video->audio": (("video", "to_audio"), ("audio", "to_video")),
}
# Features are standardized; a fixed `C` saves the cross-validation.
_REGULARIZATION = 0.1


def outcomes(trained):
    """Evaluates a model on held-out clips, which are all aligned.

    Args:
        trained: `training.Trained`.

    Returns:
        Dict from outcome to float: recalls among `candidates` clips (the
        mean over sets of so many clips), and the accuracy of
        linear probes on video and audio features (the mean over the parts of the
        contents, such as color, shape and motion).
    """
    held_out = encode(trained.model, trained.held_out)
    results = {}
    for task, sides in RETRIEVAL.items():
        queries, candidates = (held_out[m][output] for m, output in sides)
        results |= {
            f"{task} {name}": value
            for name, value in _recalls(queries, candidates, trained).items()
        }
    train = encode(trained.model, trained.train)
    for modality in ("video", "audio"):
        accuracies = [
            _accuracy(train, held_out, modality, trained, part)
            for part in _probed_parts(trained.held_out.contents)
        ]
        results[f"{modality} probe"] = round(float(np.mean(accuracies)), 4)
    return results


def encode(model, clips):
    """Returns the features and embeddings of clips by modality, as float arrays."""
    return model.encode(clips.video, clips.audio, clips.text, batch_size=_BATCH)


def _recalls(queries, candidates, trained):
    size = trained.run.corpus.candidates
    metrics = [
        retrieval_metrics(
            queries[first : first + size], candidates[first : first + size]
        )
        for first in range(0, len(queries), size)
    ]
    return {
        name: round(float(np.mean([getattr(m, attribute) for m in metrics])), 4)
        for name, attribute in (
            ("R@1", "recall_at_1"),
            ("R@5", "recall_at_5"),
            ("R@10", "recall_at_10"),
        )
    }


def _probed_parts(contents):
    """Returns the parts of the contents that aren't unique to a clip."""
    return [
        part
        for part in range(len(contents[0]))
        if len({content[part] for content in contents}) < len(contents) / 4
    ]


def _accuracy(train, held_out, modality, trained, part):
    names = sorted({content[part] for content in trained.train.contents})
    labels = [
        np.array([names.index(content[part]) for content in clips.contents])
        for clips in (trained.train, trained.held_out)
    ]
    probe = linear_probe(
        train[modality]["features_pooled"],
        labels[0],
        held_out[modality]["features_pooled"],
        labels[1],
        num_classes=len(names),
        regularization=_REGULARIZATION,
        top_k=(1,),
    )
    return probe.metrics.top_1
