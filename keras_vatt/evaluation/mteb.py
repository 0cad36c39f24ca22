"""VATT as a model of the Massive Text Embedding Benchmark and its media tasks."""

import importlib
import itertools

import numpy as np

from keras_vatt.data.dataset_entries import clip_of_entry, is_dataset_entry
from keras_vatt.version import __version__

# An image is a video that stands still.
_BRANCHES = {"text": "text", "audio": "audio", "video": "video", "image": "video"}
# What can be compared, the best first, and in which outputs of `encode`.
_COMPARABLE = {
    ("video", "text"): ("to_text", "to_video"),
    ("text", "video"): ("to_video", "to_text"),
    ("video", "audio"): ("to_audio", "to_video"),
    ("audio", "video"): ("to_video", "to_audio"),
    # In one space by a joint bridge head alone.
    ("audio", "text"): ("to_video", "to_video"),
    ("text", "audio"): ("to_video", "to_video"),
}


class MTEBEncoder:
    """A pre-trained VATT as an encoder that `mteb.evaluate` takes (mteb 2).

    Tasks of one modality (text, audio, video, image) compare `features`. Tasks that
    compare two modalities take the embeddings in which VATT has learned to: text with
    video or image, audio with video, and text with audio if the bridge head is a
    `keras_vatt.layers.JointBridgeHead`. An image is a video that stands still. Of an
    entry with several modalities one is embedded: with sound and picture the picture.

    Media are decoded as everywhere in this library, in its middle where longer than a
    clip; torchcodec, with which `datasets` decodes, is not needed.

    Args:
        model: `keras_vatt.VATT`, with a preprocessor.
        name: string, under which mteb stores results, as `"owner/name"`. Defaults to
            `"keras_vatt/vatt"`.
        features: string, the output of `model.encode` for tasks of one modality.
            Defaults to `"features_pooled"`.

    Raises:
        ImportError: if mteb is not installed.
        ValueError: if the model can't take raw media and strings.

    Example:
    ```python
    import keras_vatt
    import mteb
    from keras_vatt.evaluation.mteb import MTEBEncoder

    encoder = MTEBEncoder(keras_vatt.VATT.from_preset("vatt_tiny_agnostic"))
    results = mteb.evaluate(encoder, mteb.get_task("Banking77Classification"))
    ```
    """

    def __init__(self, model, name="keras_vatt/vatt", features="features_pooled"):
        if model.preprocessor is None:
            raise ValueError(
                "mteb gives strings and media, for which this model has no "
                "preprocessor: set `model.preprocessor`."
            )
        self.model = model
        self.features = features
        self.mteb_model_meta = _model_meta(model, name)

    def encode(
        self,
        inputs,
        *,
        task_metadata,
        hf_split=None,
        hf_subset=None,
        prompt_type=None,
        **kwargs,
    ):
        """Embeddings of the entries of a data set.

        Args:
            inputs: a DataLoader of mteb, or any iterable of batches: dicts of lists
                with `"text"`, `"image"`, `"audio"` or `"video"`.
            task_metadata: the `TaskMetadata` of the task.
            hf_split: string, not used.
            hf_subset: string, not used.
            prompt_type: whether they are queries or documents. Defaults to `None`.
            **kwargs: `batch_size`, and others that are not used.

        Returns:
            float32 array of shape `(entries, dim)`.

        Raises:
            ValueError: if the modalities of the task can't be compared.
            keras_vatt.data.MediaError: if a file can't be used.
        """
        batches = _undecoded_batches(inputs)
        first = next(batches)
        branch, output = self._place(first, task_metadata, prompt_type)
        column = "image" if branch == "video" and "video" not in first else branch
        rows = [
            self._encode(output, column, batch[column])
            for batch in itertools.chain([first], batches)
        ]
        return np.concatenate(rows)

    def similarity(self, embeddings1, embeddings2):
        """Cosines of all pairs, a torch tensor `(embeddings1, embeddings2)`."""
        return _similarity_functions().cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1, embeddings2):
        """Cosines of corresponding rows, a torch tensor `(embeddings,)`."""
        return _similarity_functions().pairwise_cos_sim(embeddings1, embeddings2)

    def _place(self, batch, task, prompt_type):
        """Which part of the model embeds a batch, and which of its outputs to take."""
        given = {m for m in task.modalities if m in batch}
        if prompt_type is None or task.category is None:
            sides = (given, set(task.modalities) - given)
            here = 0
        else:
            sides = tuple(map(task.get_modalities, ("query", "document")))
            here = ("query", "document").index(prompt_type)
        sides = [{_BRANCHES[modality] for modality in side} for side in sides]
        if not sides[1] or sides[0] == sides[1]:
            return _best(sides[0]), self.features
        for pair, outputs in _COMPARABLE.items():
            if pair[0] in sides[0] and pair[1] in sides[1]:
                self._check_comparable(pair)
                return pair[here], outputs[here]
        return _best(sides[here] & sides[1 - here]), self.features

    def _check_comparable(self, pair):
        together = self.model.bridge_head.embeds_audio_and_text_together
        if set(pair) == {"audio", "text"} and not together:
            raise ValueError(
                "This model has no space of both audio and text: only one with a "
                "`keras_vatt.layers.JointBridgeHead` can do this task."
            )

    def _encode(self, output, column, entries):
        inputs = [_RAW[column](entry) for entry in entries]
        return self.model.extract_features(column, inputs, output)[:, 0]


def _best(branches):
    """Of a clip with several modalities the one that tells most."""
    return next(name for name in ("video", "audio", "text") if name in branches)


def _clip(entry):
    """A raw clip of what `datasets` gives; see `clip_of_entry`."""
    if isinstance(entry, str | bytes) or is_dataset_entry(entry):
        return clip_of_entry(entry)
    raise ValueError(
        "A clip is a dict of `bytes`, `path`, or `array` and `sampling_rate`. "
        f"Received: {type(entry).__name__}"
    )


def _picture(entry):
    return np.asarray(entry.convert("RGB"))


_RAW = {"text": str, "audio": _clip, "video": _clip, "image": _picture}


def _undecoded_batches(inputs):
    """The batches of a loader, with media as the files they come from."""
    import datasets

    dataset = getattr(inputs, "dataset", None)
    if not isinstance(dataset, datasets.Dataset):
        yield from inputs
        return
    for column, feature in dataset.features.items():
        if isinstance(feature, datasets.Audio | datasets.Video):
            dataset = dataset.cast_column(column, type(feature)(decode=False))
    yield from dataset.iter(batch_size=inputs.batch_size)


def _model_meta(model, name):
    meta = _imported("mteb.models.model_meta").ModelMeta
    has = model.backbone.modalities
    return meta(
        loader=None,
        name=name,
        revision=__version__,
        release_date=None,
        languages=None,
        n_parameters=model.count_params(),
        memory_usage_mb=None,
        max_tokens=None,
        embed_dim=None,
        license=None,
        open_weights=None,
        public_training_code=None,
        public_training_data=None,
        framework=[],
        similarity_fn_name="cosine",
        use_instructions=False,
        training_datasets=None,
        modalities=[m for m, branch in _BRANCHES.items() if branch in has],
    )


def _similarity_functions():
    return _imported("mteb.similarity_functions")


def _imported(module):
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            'This needs mteb 2: `pip install "keras-vatt[mteb]"`.'
        ) from error
