"""Trains the model of one run."""

import time

import keras
import numpy as np
from arms import SelectiveVATT, compile_arguments
from corpora import open_corpus
from pairing import pair_clips

import keras_vatt
from keras_vatt.training import warmup_cosine


class Trained:
    """A model, its clips and the curves of its training.

    Args:
        run: `settings.Run`.
        folder: path of the folder of the corpora.

    Attributes:
        model: `keras_vatt.VATT`.
        train: `corpora.Clips`, those of this seed.
        pairing: `pairing.Pairing` of the train clips.
        held_out: `corpora.Clips`, the clips to evaluate on.
        curves: dict from the name of a metric to its values, every `log_steps` steps.
        seconds: dict with the `"wall"` and the `"cpu"` time of the training.
    """

    def __init__(self, run, folder):
        self.run = run
        splits, vocabulary_size = open_corpus(run.corpus, folder)
        self.held_out = splits[run.corpus.evaluated_on]
        self.train = splits["train"].take(_chosen(splits["train"], run))
        self.pairing = pair_clips(self.train.contents, run.noise, run.seed)
        keras.utils.set_random_seed(run.seed)
        self.model = make_model(run, vocabulary_size)
        self.curves, self.seconds = {}, {}

    def fit(self, dropped=(), at_step=None):
        """Trains the model.

        Args:
            dropped: int array. Train clips to leave out.
            at_step: function of the number of steps, called before the first step and
                every `log_steps` steps. Defaults to `None`.

        Returns:
            The object itself.
        """
        training = self.run.training
        kept = np.setdiff1d(np.arange(len(self.train.contents)), dropped)
        batches = self._batches(kept)
        start = time.perf_counter(), time.process_time()
        for steps in range(0, training.steps, training.log_steps):
            if at_step is not None:
                at_step(steps)
            logs = self.model.fit(
                batches, epochs=1, steps_per_epoch=training.log_steps, verbose=0
            ).history
            for name, (value,) in logs.items():
                self.curves.setdefault(name, []).append(round(float(value), 4))
        if at_step is not None:
            at_step(training.steps)
        self.seconds = {
            "wall": round(time.perf_counter() - start[0], 1),
            "cpu": round(time.process_time() - start[1], 1),
        }
        return self

    def _batches(self, kept):
        # The order does not depend on the arm: masks have numbers of their own.
        random, mask_random = (
            np.random.default_rng((self.run.seed, stream)) for stream in (3, 17)
        )
        size, total = self.run.training.batch_size, self.run.training.steps
        rows = np.empty(0, "int64")
        # One more: Keras reads ahead.
        for _ in range(total + 1):
            if len(rows) < size:
                rows = np.concatenate([rows, random.permutation(kept)])
            chosen, rows = rows[:size], rows[size:]
            batch = self.train.batch(chosen, self.pairing)
            yield (batch | self._masks(chosen, mask_random),)

    def _masks(self, rows, random):
        arm, pairing = self.run.arm, self.pairing
        if arm.rule == "oracle":
            return {
                "audio_mask": pairing.audio_aligned[rows].astype("float32"),
                "text_mask": pairing.text_aligned[rows].astype("float32"),
            }
        if arm.rule != "skip random":
            return {}
        numbers = random.uniform(size=(2, len(rows)))
        if arm.scope == "clip":
            numbers[1] = numbers[0]
        kept = numbers.argsort().argsort() < round((1 - arm.fraction) * len(rows))
        audio, text = kept.astype("float32")
        return {"audio_mask": audio, "text_mask": text}


def make_model(run, vocabulary_size):
    """Returns the compiled model of a run, with random weights."""
    corpus, model = run.corpus, run.model
    encoder = {
        "hidden_dim": model.hidden_dim,
        "intermediate_dim": 2 * model.hidden_dim,
        "num_layers": model.num_layers,
        "num_heads": model.num_heads,
        "head_dim": model.hidden_dim // model.num_heads,
    }
    frames, height, width = model.video_patch_size
    samples = round(corpus.num_frames / corpus.frames_per_second * corpus.sampling_rate)
    inputs = {
        "video_patch_size": model.video_patch_size,
        "audio_patch_size": model.audio_patch_size,
        "video_positions": (
            corpus.num_frames // frames,
            corpus.frame_size // height,
            corpus.frame_size // width,
        ),
        "audio_positions": samples // model.audio_patch_size,
        "vocabulary_size": vocabulary_size,
        "word_embedding_dim": model.hidden_dim,
        "trainable_word_embedding": True,
        "token_keep_rate": 1.0,
        "dropout": 0.0,
    }
    if model.towers == "specific":
        # As in VATT, the text encoder then has relative positions.
        backbone = keras_vatt.VATTSpecificBackbone(encoder, encoder, encoder, **inputs)
    else:
        backbone = keras_vatt.VATTAgnosticBackbone(
            **encoder,
            projection_dim=2 * model.hidden_dim,
            text_positions=corpus.caption_tokens,
            **inputs,
        )
    dim = model.embedding_dim
    head = keras_vatt.layers.FactorizedBridgeHead(dim, dim, name="bridge_head")
    is_selective = run.arm.rule in ("skip loss", "skip similarity")
    vatt = (SelectiveVATT if is_selective else keras_vatt.VATT)(backbone, head)
    vatt.arm = run.arm
    training = run.training
    rates = warmup_cosine(
        run.learning_rate,
        training.final_rate * run.learning_rate,
        training.warmup_steps,
        training.steps,
    )
    vatt.compile(keras.optimizers.Adam(rates), **compile_arguments(run))
    return vatt


def _chosen(clips, run):
    random = np.random.default_rng((run.seed, 5))
    return random.permutation(len(clips.contents))[: run.corpus.train_clips]
