"""An encoder for the Massive Text Embedding Benchmark and its media tasks."""

from __future__ import annotations

import importlib
import itertools
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_vatt.data.decoding._dataset_entries import clip_of_entry, is_dataset_entry
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._common_spaces import common_spaces, fuse
from keras_vatt.version import __version__

if typing.TYPE_CHECKING:
    from keras_vatt.models import VATT

# The tower of each modality. An image is a video whose frames are all the same.
_BRANCHES = {"text": "text", "audio": "audio", "video": "video", "image": "video"}
# The spaces of a bridge head, in order of preference.
_SPACES = ("joint", "video_text", "video_audio")


class MTEBEncoder:
    """An encoder for `mteb.evaluate` (mteb 2), from a pre-trained VATT.

    The vector of an entry with several modalities, such as a video with its audio, is
    the normalized mean of the unit vectors of those modalities that can be compared:

    - If queries and documents have the same modalities, `features` are compared.
    - Otherwise the embeddings of one space of the bridge head are compared. A
      `keras_vatt.layers.FactorizedBridgeHead` has a space of video and text, without
      audio, and a space of video and audio. A `keras_vatt.layers.JointBridgeHead` has
      one space of all modalities.
    - If there is no such space, `features` of the common modalities are compared.

    Images are encoded as videos whose frames are all the same. Media files are decoded
    by this library, without torchcodec; from longer ones, the middle is encoded.

    Args:
        model: `keras_vatt.VATT`, with a preprocessor.
        name: string. Name under which mteb stores results, as `"owner/name"`. Defaults
            to `"keras_vatt/vatt"`.
        features: string. Output of `model.encode` for tasks of one modality. Defaults
            to `"features_pooled"`.
        short_clips: string. Rule for clips that are shorter than the model's:
            `"repeat"` starts again from the beginning, `"pad"` appends black frames and
            silence, `"error"` raises an error. Defaults to `"repeat"`.

    Raises:
        ImportError: if mteb is not installed.
        ValueError: if the model has no preprocessor, or `short_clips` is unknown.

    Example:
    ```python
    import keras_vatt
    import mteb
    from keras_vatt.evaluation.mteb import MTEBEncoder

    encoder = MTEBEncoder(keras_vatt.VATT.from_preset("vatt_tiny_agnostic"))
    results = mteb.evaluate(encoder, mteb.get_task("Banking77Classification"))
    ```
    """

    def __init__(
        self,
        model: VATT,
        name: str = "keras_vatt/vatt",
        features: str = "features_pooled",
        short_clips: str = "repeat",
    ):
        if model.preprocessor is None:
            raise ValueError(
                "This model has no preprocessor for the strings and media of mteb: set "
                "`model.preprocessor`."
            )
        check_short_clips(short_clips)
        self.model = model
        self.short_clips = short_clips
        self.features = features
        self.mteb_model_meta = _model_meta(model, name)

    def encode(
        self,
        inputs: Iterable[Mapping[str, list]],
        *,
        task_metadata: Any,
        hf_split: str | None = None,
        hf_subset: str | None = None,
        prompt_type: str | None = None,
        **kwargs,
    ) -> np.ndarray:
        """Computes embeddings of the entries of a dataset.

        Args:
            inputs: a DataLoader of mteb, or any iterable of batches: dicts of lists
                with `"text"`, `"image"`, `"audio"` or `"video"`.
            task_metadata: the `TaskMetadata` of the task.
            hf_split: string. Not used.
            hf_subset: string. Not used.
            prompt_type: whether the entries are queries or documents. Defaults to
                `None`.
            **kwargs: other arguments of mteb. Not used.

        Returns:
            float32 array of shape `(entries, dim)`. Rows of several modalities have
            length 1.

        Raises:
            ValueError: if the modalities of the task can't be compared, or an entry
                has none of them.
            keras_vatt.data.MediaError: if a file can't be used.
        """
        batches = _undecoded_batches(inputs)
        first = next(batches)
        outputs = self._place(first, task_metadata, prompt_type)
        rows = [
            self._encode(outputs, batch) for batch in itertools.chain([first], batches)
        ]
        return np.concatenate(rows)

    def similarity(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Any:
        """Computes the cosines of all pairs, a torch tensor."""
        return _similarity_functions().cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(
        self, embeddings1: ArrayLike, embeddings2: ArrayLike
    ) -> Any:
        """Computes the cosines of corresponding rows, a torch tensor."""
        return _similarity_functions().pairwise_cos_sim(embeddings1, embeddings2)

    def _place(self, batch, task, prompt_type):
        """Returns the columns of a batch to encode, with the output of each."""
        given = {m for m in task.modalities if m in batch}
        if prompt_type is None or task.category is None:
            sides = (given, set(task.modalities) - given)
            here = 0
        else:
            sides = tuple(map(task.get_modalities, ("query", "document")))
            here = ("query", "document").index(prompt_type)
        outputs = self._outputs(
            *({_BRANCHES[modality] for modality in side} for side in sides), here
        )
        columns = [m for m in _BRANCHES if m in sides[here] and m in batch]
        return {m: outputs[_BRANCHES[m]] for m in columns if _BRANCHES[m] in outputs}

    def _outputs(self, queries, documents, here):
        """Returns the outputs of the modalities to encode on one side."""
        side = (queries, documents)[here]
        if documents and queries != documents:
            spaces = common_spaces(self.model)
            for space in (spaces[name] for name in _SPACES if name in spaces):
                ends = queries & set(space), documents & set(space)
                # A single modality is compared by its features.
                if all(ends) and len(ends[0] | ends[1]) > 1:
                    return {m: space[m] for m in side & set(space)}
            side = queries & documents
        if not side:
            raise ValueError(
                f"This model has no space of both {' and '.join(sorted(queries))} and "
                f"{' and '.join(sorted(documents))}: this task needs a model with a "
                "`keras_vatt.layers.JointBridgeHead`."
            )
        return dict.fromkeys(side, self.features)

    def _encode(self, outputs, batch):
        if len(outputs) == 1:
            ((column, output),) = outputs.items()
            return self._encode_column(column, batch[column], output)
        present = [[entry is not None for entry in batch[m]] for m in outputs]
        if not np.any(present, axis=0).all():
            number = int(np.argmin(np.any(present, axis=0)))
            raise ValueError(
                f"Entry {number} of a batch has none of {', '.join(outputs)}."
            )
        parts = [
            self._encode_present(column, batch[column], output)
            for column, output in outputs.items()
        ]
        return fuse([part for part in parts if part is not None]).astype(np.float32)

    def _encode_present(self, column, entries, output):
        """Encodes a column, with zeros for missing entries; `None` if all are."""
        numbers = [n for n, entry in enumerate(entries) if entry is not None]
        if not numbers:
            return None
        found = self._encode_column(column, [entries[n] for n in numbers], output)
        rows = np.zeros((len(entries), found.shape[1]), found.dtype)
        rows[numbers] = found
        return rows

    def _encode_column(self, column, entries, output):
        inputs = [_RAW[column](entry) for entry in entries]
        features = self.model.extract_features(
            column, inputs, output, short_clips=self.short_clips, on_error="raise"
        )
        return features[:, 0]


def _clip(entry):
    """Returns a raw clip from an entry of `datasets`; see `clip_of_entry`."""
    if isinstance(entry, str | bytes) or is_dataset_entry(entry):
        return clip_of_entry(entry)
    raise ValueError(
        "A clip must be a dict of `bytes`, `path`, or `array` and `sampling_rate`. "
        f"Received: {type(entry).__name__}"
    )


def _image(entry):
    return np.asarray(entry.convert("RGB"))


_RAW = {"text": str, "audio": _clip, "video": _clip, "image": _image}


def _undecoded_batches(inputs):
    """Yields the batches of a loader, with media as undecoded files."""
    dataset = getattr(inputs, "dataset", None)
    if dataset is None:
        yield from inputs
        return
    import datasets

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
