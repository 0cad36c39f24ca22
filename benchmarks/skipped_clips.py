"""Compares what a skipped clip may still do, if the right clips are skipped.

Run it on any backend:

    KERAS_BACKEND=jax python benchmarks/skipped_clips.py --output results

Clips are latent vectors, and video, audio and text are noisy nonlinear views of them.
As in the demo corpus, there are 120 different ones. The audio and the text of some
train clips belong to other clips. An oracle knows them, and the losses skip these clips
(see `Towers`). What such a clip still does is one of `RULES`. The table has R@1 among
held-out clips that all match, the mean and each seed.
"""

import argparse
import functools
import time

import keras
import numpy as np
from keras import ops
from report import environment, progress, write

from keras_vatt.losses import AsymmetricNCE
from keras_vatt.training import Branch, BranchLoss, HarmonizedModel

RULES = {
    "plain": "nothing is skipped",
    "masked": "neither anchor nor negative",
    "zeroed": "the rows of its gradients are zero, it stays a negative",
    "negative": "no anchor, but a negative that is pushed away",
}
PAIRS = ("audio", "text")
MODALITIES = ("video", *PAIRS)
COMBINATIONS, LATENT, WIDTH, DIM = 120, 12, 48, 24

COLUMNS = {
    "rule": lambda r: r["rule"],
    "a skipped clip": lambda r: RULES[r["rule"]],
    "loss": lambda r: r["loss"],
    "text-to-video R@1": lambda r: _cells(r["text"]),
    "audio-to-video R@1": lambda r: _cells(r["audio"]),
    "seconds": lambda r: f"{np.mean(r['seconds']):.0f}",
}


class Towers(HarmonizedModel):
    """One small encoder with a head per modality and loss, and a rule for its losses.

    Args:
        rule: string, a key of `RULES`.
        scope: string. `"pair"`: the loss of a pair skips the clips whose own pair does
            not match. `"clip"`: both losses skip a clip if one of its pairs does not.
        batch_norm: bool, whether the heads have batch norm, as in VATT.
    """

    loss_inputs = tuple(f"{name}_matches" for name in PAIRS)

    def __init__(self, rule, scope, batch_norm):
        super().__init__()
        self.rule, self.scope = rule, scope
        self.contrast = AsymmetricNCE(temperature=0.07)
        self.projections = {name: keras.layers.Dense(64) for name in MODALITIES}
        self.encoder = _layers((None, 64), "gelu", 128, "gelu", 64)
        head = (64, "norm", "relu", DIM) if batch_norm else (64, "relu", DIM)
        self.heads = {
            name: [_layers((None, 64), *head) for _ in self._pairs_of(name)]
            for name in MODALITIES
        }
        for projection in self.projections.values():
            projection.build((None, WIDTH))
        self.built = True

    def branches(self):
        return {
            name: Branch(
                (name, *self.loss_inputs),
                functools.partial(self._encode, name),
                functools.partial(self._embed, name),
            )
            for name in MODALITIES
        }

    def _encode(self, name, batch, training):
        """Returns the features, once for each loss."""
        features = self.encoder(self.projections[name](batch[name]))
        if self.rule != "zeroed":
            return [features for _ in self._pairs_of(name)]
        return [
            _only_kept(features, self._kept(pair, batch))
            for pair in self._pairs_of(name)
        ]

    def _embed(self, name, features, training):
        heads = zip(self.heads[name], features, strict=True)
        return [head(rows, training=training) for head, rows in heads]

    def _pairs_of(self, name):
        return PAIRS if name == "video" else (name,)

    def branch_losses(self):
        return [self._loss(index, name) for index, name in enumerate(PAIRS)]

    def _loss(self, index, name):
        def per_sample(outputs, batch):
            video, other = outputs["video"][index], outputs[name][0]
            kept = self._kept(name, batch)
            count = ops.cast(ops.shape(kept)[0], "float32")
            scale = count / ops.maximum(ops.sum(kept), 1.0)
            if self.rule == "masked":
                return self.contrast.per_clip(video, other, kept)
            terms = self.contrast.per_clip(video, other)
            if self.rule == "negative":
                terms = terms * kept * scale
            return terms

        return BranchLoss(f"{name}_loss", ("video", name), 0.5, per_sample)

    def _kept(self, name, batch):
        if self.scope == "pair":
            return batch[f"{name}_matches"]
        return batch["audio_matches"] * batch["text_matches"]


def _layers(shape, *sizes):
    layers = {"norm": keras.layers.BatchNormalization}
    model = keras.Sequential(
        [
            keras.layers.Dense(size)
            if isinstance(size, int)
            else layers.get(size, lambda size=size: keras.layers.Activation(size))()
            for size in sizes
        ]
    )
    model.build(shape)
    return model


def _only_kept(rows, kept):
    """Returns the rows; those of skipped clips are constants."""
    kept = kept[:, None]
    return rows * kept + ops.stop_gradient(rows) * (1 - kept)


def main():
    arguments = _arguments()
    report = {"environment": environment(), "settings": vars(arguments)}
    report["results"] = [
        _result(rule, loss, arguments)
        for loss in arguments.scopes
        for rule in RULES
        if rule != "plain" or loss == arguments.scopes[0]
    ]
    write(arguments.output, "skipped_clips", report, COLUMNS)


def _result(rule, scope, arguments):
    result = {"rule": rule, "loss": scope, "text": [], "audio": [], "seconds": []}
    model = Towers(rule, scope, arguments.batch_norm)
    model.compile(keras.optimizers.Adam(arguments.learning_rate))
    fresh = [ops.convert_to_numpy(value) for value in model.optimizer.variables]
    for seed in range(arguments.seeds):
        start = time.perf_counter()
        train, test = _corpus(arguments, seed)
        keras.utils.set_random_seed(seed)
        # The compiled step is used again for all seeds.
        fresh_model = Towers(rule, scope, arguments.batch_norm)
        model.set_weights(fresh_model.get_weights())
        for variable, value in zip(model.optimizer.variables, fresh, strict=True):
            variable.assign(value)
        model.fit(train, epochs=arguments.epochs, batch_size=64, verbose=0)
        for name, recall in _recalls(model, test).items():
            result[name].append(recall)
        result["seconds"].append(time.perf_counter() - start)
    progress(result)
    return result


def _recalls(model, test):
    outputs = {
        name: [ops.convert_to_numpy(rows) for rows in branch(test, training=False)]
        for name, branch in model.branches().items()
    }
    return {
        name: _recall(outputs[name][0], outputs["video"][index])
        for index, name in enumerate(PAIRS)
    }


def _recall(queries, videos, group=COMBINATIONS):
    """Returns R@1 within groups of 120 clips, of all combinations."""
    queries, videos = (
        (rows / np.linalg.norm(rows, axis=1, keepdims=True)).reshape(-1, group, DIM)
        for rows in (queries, videos)
    )
    nearest = (queries @ videos.swapaxes(1, 2)).argmax(axis=2)
    return float(np.mean(nearest == np.arange(group)))


def _corpus(arguments, seed):
    """Returns the train clips and the test clips, dicts of arrays."""
    random = np.random.default_rng(seed)
    views = {
        name: (
            random.normal(size=(LATENT, WIDTH)) / LATENT**0.5,
            random.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5,
        )
        for name in MODALITIES
    }

    known = random.normal(size=(COMBINATIONS, LATENT))

    def latents(count, rows=None):
        rows = random.integers(len(known), size=count) if rows is None else rows
        return known[rows]

    def clips(count, misaligned, rows=None):
        latent = latents(count, rows)
        batch = {"video": latent}
        for name in PAIRS:
            wrong = random.uniform(size=count) < misaligned
            other = latents(count)
            batch[name] = np.where(wrong[:, None], other, latent)
            batch[f"{name}_matches"] = 1.0 - wrong
        for name, (first, second) in views.items():
            rows = np.tanh(2 * batch[name] @ first) @ second
            batch[name] = rows + arguments.noise * random.normal(size=rows.shape)
        return {name: rows.astype("float32") for name, rows in batch.items()}

    train = clips(arguments.clips, arguments.misaligned)
    return train, clips(8 * COMBINATIONS, 0, np.tile(np.arange(COMBINATIONS), 8))


def _cells(values):
    return f"{np.mean(values):.3f} ({', '.join(f'{v:.3f}' for v in values)})"


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--scopes", nargs="+", default=["pair", "clip"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--misaligned", type=float, default=0.4)
    parser.add_argument("--clips", type=int, default=2048, help="train clips")
    parser.add_argument("--noise", type=float, default=0.7)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--no-batch-norm", dest="batch_norm", action="store_false")
    return parser.parse_args()


if __name__ == "__main__":
    main()
