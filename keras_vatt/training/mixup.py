"""Mixup of the clips of a batch, and of their labels."""

import dataclasses

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class Mixup:
    """Each clip of a batch plus another one, and their labels likewise.

    With a share `s` of a clip, drawn from `Beta(alpha, alpha)` for each clip, the
    result is `s * clip + (1 - s) * partner`, and so for labels. Partners are the batch
    in a random order. VATT is fine-tuned on AudioSet with it, by the default `alpha`;
    `keras.layers.MixUp` takes pictures only. A loss that smooths labels may follow:
    smoothing what is mixed and mixing what is smoothed are the same.

    See "mixup: Beyond Empirical Risk Minimization", https://arxiv.org/abs/1710.09412.

    Args:
        alpha: float. How even the shares are: they come near 0 or 1 if it is small,
            near 1/2 if it is large. Defaults to `5.0`.
        num_classes: int. Number of classes, needed if labels are whole numbers.
            Defaults to `None`, where labels are rows with a number for each class.

    Raises:
        ValueError: if `alpha` is not positive.

    Example:
    ```python
    mixup = keras_vatt.training.Mixup()
    sounds = np.random.uniform(-1, 1, (4, 9600, 1)).astype("float32")
    sounds, labels = mixup(sounds, np.eye(4), np.random.default_rng(0))
    labels.sum(axis=1)  # all 1
    ```
    """

    alpha: float = 5.0
    num_classes: int | None = None

    def __post_init__(self):
        if not 0 < self.alpha < float("inf"):
            raise ValueError(f"`alpha` must be positive. Received: alpha={self.alpha}")

    def __call__(self, clips, labels, generator):
        """A mixed batch.

        Args:
            clips: array of shape `(batch, ...)`; uint8 frames become float32 in
                `[-1, 1]`, as VATT would make them.
            labels: array of shape `(batch, num_classes)`, or `(batch,)` of whole
                numbers.
            generator: `numpy.random.Generator`, the only source of randomness.

        Returns:
            Tuple of float32 arrays, of the shape of `clips` and of shape
            `(batch, num_classes)`.

        Raises:
            ValueError: if labels are whole numbers and `num_classes` is not given, or
                there are not as many as clips.
        """
        clips, labels = _floats(clips), self._rows(np.asarray(labels))
        if len(clips) != len(labels):
            raise ValueError(
                f"There must be a label for each clip. Received: {len(clips)} clips "
                f"and {len(labels)} labels"
            )
        share = generator.beta(self.alpha, self.alpha, len(clips))
        partner = generator.permutation(len(clips))
        return _mixed(clips, share, partner), _mixed(labels, share, partner)

    def get_config(self):
        """Return the arguments that make this mixup, as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config):
        """Make a mixup from what `get_config` returned."""
        return cls(**config)

    def _rows(self, labels):
        if labels.ndim == 2 and labels.shape[1] > 1:
            return labels.astype(np.float32)
        if self.num_classes is None:
            raise ValueError(
                "Mixed labels are rows with a number for each class: give "
                "`num_classes` to make them of whole numbers. Received: labels of "
                f"shape {labels.shape}"
            )
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise ValueError(
                f"Labels must lie in [0, {self.num_classes}). Received: labels from "
                f"{labels.min()} to {labels.max()}"
            )
        return np.eye(self.num_classes, dtype=np.float32)[labels.reshape(-1)]


class MixedBatches(keras.utils.PyDataset):
    """The batches of a dataset, mixed anew in each epoch; see `mixed_batches`."""

    def __init__(self, dataset, mixup, seed=0, **kwargs):
        super().__init__(**kwargs)
        self._dataset = dataset
        self._mixup = mixup
        self._seed = seed
        self._epoch = 0

    @property
    def num_batches(self):
        """Batches of an epoch, an int."""
        return self._dataset.num_batches

    def __getitem__(self, index):
        batch = self._dataset[index]
        if len(batch) != 2:
            raise ValueError(
                "Batches to mix are tuples of clips and labels; weights of clips have "
                f"no meaning once they are mixed. Received: a tuple of {len(batch)}"
            )
        # The dataset may draw from these numbers without the last one.
        generator = np.random.default_rng((self._seed, self._epoch, index, 1))
        return self._mixup(*batch, generator)

    def on_epoch_begin(self):
        self._dataset.on_epoch_begin()

    def on_epoch_end(self):
        self._epoch += 1
        self._dataset.on_epoch_end()


class LabelledClips(keras.utils.PyDataset):
    """Batches of clips and labels, converted and changed as they are needed.

    Args:
        clips: array of clips; or with `convert` a list of whatever that takes.
        labels: a label, or a row of labels, for each clip.
        batch_size: int. Defaults to `32`. The last batch may be smaller.
        convert: function from a list of clips to the array of a batch, such as
            `classifier.preprocessor.audio_converter` for files and raw arrays. Defaults
            to `None`.
        augmentation: function `(array of one clip, generator)` that returns a changed
            one, such as `keras_vatt.data.FrameAugmentation`. Defaults to `None`.
        seed: int, for the order of the clips and for `augmentation`: an epoch depends
            on it and its number alone. Defaults to `0`.
        **kwargs: arguments of `keras.utils.PyDataset`, such as `workers`.

    Raises:
        ValueError: if there are not as many labels as clips.

    Example:
    ```python
    batches = LabelledClips(
        ["dog.wav", "cat.wav"], [0, 1], convert=classifier.preprocessor.audio_converter
    )
    classifier.fit(batches, epochs=3)
    ```
    """

    def __init__(
        self,
        clips,
        labels,
        batch_size=32,
        convert=None,
        augmentation=None,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(clips) != len(labels) or not len(clips):
            raise ValueError(
                "There must be clips, and a label for each. Received: "
                f"{len(clips)} clips and {len(labels)} labels"
            )
        self._clips = clips
        self._labels = np.asarray(labels)
        self._batch_size = batch_size
        self._convert = convert or np.stack
        self._augmentation = augmentation
        self._seed = seed
        self._epoch = 0

    @property
    def num_batches(self):
        """Batches of an epoch, an int."""
        return -(-len(self._clips) // self._batch_size)

    def __getitem__(self, index):
        first = index * self._batch_size
        chosen = self._order()[first : first + self._batch_size]
        clips = self._convert([self._clips[i] for i in chosen])
        if self._augmentation is not None:
            generator = np.random.default_rng((self._seed, self._epoch, index))
            clips = np.stack([self._augmentation(c, generator) for c in clips])
        return clips, self._labels[chosen]

    def on_epoch_end(self):
        self._epoch += 1

    def _order(self):
        generator = np.random.default_rng((self._seed, self._epoch))
        return generator.permutation(len(self._clips))


def mixed_batches(dataset, alpha=5.0, num_classes=None, seed=0, **kwargs):
    """Batches with `Mixup`, for `fit` on any backend.

    Args:
        dataset: `keras.utils.PyDataset` of tuples of clips and labels, such as
            `LabelledClips`.
        alpha: float. See `Mixup`. Defaults to `5.0`.
        num_classes: int. See `Mixup`. Defaults to `None`.
        seed: int. What is mixed in an epoch depends on it, on the epoch's number and
            on the batch alone. Defaults to `0`.
        **kwargs: arguments of `keras.utils.PyDataset`, such as `workers`.

    Returns:
        `keras.utils.PyDataset`.

    Example:
    ```python
    convert = classifier.preprocessor.audio_converter
    batches = LabelledClips(files, labels, convert=convert)
    classifier.fit(mixed_batches(batches, num_classes=10), epochs=3)
    ```
    """
    return MixedBatches(dataset, Mixup(alpha, num_classes), seed, **kwargs)


def _floats(clips):
    clips = np.asarray(clips)
    if clips.dtype == np.uint8:
        return clips.astype(np.float32) / 127.5 - 1.0
    return clips.astype(np.float32)


def _mixed(arrays, share, partner):
    share = share.astype(np.float32).reshape(-1, *[1] * (arrays.ndim - 1))
    return share * arrays + (1 - share) * arrays[partner]
