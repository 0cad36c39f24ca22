"""VATT as a model of the Massive Text Embedding Benchmark and its media tasks."""

import importlib
import itertools
from concurrent import futures

import numpy as np

from keras_vatt.data.decoding._dataset_entries import clip_of_entry, is_dataset_entry
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.inference._common_spaces import common_spaces, fuse
from keras_vatt.version import __version__

# An image is a video that stands still.
_BRANCHES = {"text": "text", "audio": "audio", "video": "video", "image": "video"}
# The spaces of a bridge head in the order in which they are preferred.
_SPACES = ("joint", "video_text", "video_audio")


class MTEBEncoder:
    """A pre-trained VATT as an encoder that `mteb.evaluate` takes (mteb 2).

    An entry of several modalities, such as a video with its audio, is compared by all
    that it can be compared by: of their vectors, the mean of the unit vectors is taken
    and normalized again.

    - If queries and documents have the same modalities, `features` are compared.
    - Otherwise the embeddings of one space of the bridge head are. A
      `keras_vatt.layers.FactorizedBridgeHead` has a space of video and text, where
      audio doesn't count, and one of video and audio. In that of a
      `keras_vatt.layers.JointBridgeHead`, all modalities count.
    - If there is no such space, `features` of the modalities that both have are.

    An image is a video that stands still.

    Media are decoded as everywhere in this library, in its middle where longer than a
    clip; torchcodec, with which `datasets` decodes, is not needed.

    Args:
        model: `keras_vatt.VATT`, with a preprocessor.
        name: string, under which mteb stores results, as `"owner/name"`. Defaults to
            `"keras_vatt/vatt"`.
        features: string, the output of `model.encode` for tasks of one modality.
            Defaults to `"features_pooled"`.
        short_clips: string. What is done with a clip shorter than the model's:
            `"repeat"` starts over from its beginning, `"pad"` appends black frames and
            silence, `"error"` raises an error. Defaults to `"repeat"`.

    Raises:
        ImportError: if mteb is not installed.
        ValueError: if the model can't take raw media and strings, or `short_clips` is
            no rule.

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
        model,
        name="keras_vatt/vatt",
        features="features_pooled",
        short_clips="repeat",
    ):
        if model.preprocessor is None:
            raise ValueError(
                "mteb gives strings and media, for which this model has no "
                "preprocessor: set `model.preprocessor`."
            )
        check_short_clips(short_clips)
        self.model = model
        self.short_clips = short_clips
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

    def similarity(self, embeddings1, embeddings2):
        """Cosines of all pairs, a torch tensor `(embeddings1, embeddings2)`."""
        return _similarity_functions().cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1, embeddings2):
        """Cosines of corresponding rows, a torch tensor `(embeddings,)`."""
        return _similarity_functions().pairwise_cos_sim(embeddings1, embeddings2)

    def _place(self, batch, task, prompt_type):
        """Returns the columns of a batch that count, with the output of each."""
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
        """Returns the outputs to take of the modalities that count on one side."""
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
                f"{' and '.join(sorted(documents))}: only one with a "
                "`keras_vatt.layers.JointBridgeHead` can do this task."
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
        """Rows of the entries that are there, and of zeros; `None` if none is there."""
        numbers = [n for n, entry in enumerate(entries) if entry is not None]
        if not numbers:
            return None
        found = self._encode_column(column, [entries[n] for n in numbers], output)
        rows = np.zeros((len(entries), found.shape[1]), found.dtype)
        rows[numbers] = found
        return rows

    def _encode_column(self, column, entries, output):
        inputs = [_RAW[column](entry) for entry in entries]
        if column in ("audio", "video"):
            inputs = self._decode(column, inputs)
        return self.model.extract_features(column, inputs, output)[:, 0]

    def _decode(self, column, sources):
        spec = self.model.preprocessor.clip_spec
        decode = {"audio": raw_waveform, "video": raw_frames}[column]

        def decode_one(source):
            return decode(source, spec, short_clips=self.short_clips)

        with futures.ThreadPoolExecutor() as pool:
            clips = np.concatenate(list(pool.map(decode_one, sources)))
        return clips[..., np.newaxis] if column == "audio" else clips


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
