"""A harmonized model of three small towers, and its gradients in float64 NumPy."""

import numpy as np
from keras import ops

from keras_vatt.training import Branch, BranchLoss, HarmonizedModel

MODALITIES = ("video", "audio", "text")
PAIRS = (("video", "audio"), ("video", "text"), ("audio", "text"))
WIDTH, DIM = 5, 4


def toy_batch(num_clips=8, seed=0):
    random = np.random.default_rng(seed)
    rows = {
        m: random.normal(size=(num_clips, WIDTH)).astype("float32") for m in MODALITIES
    }
    masks = {
        f"{m}_mask": (random.uniform(size=num_clips) < 0.7).astype("float32")
        for m in MODALITIES[1:]
    }
    return rows | masks


def initial_weights(seed=0):
    """Float32 encoders and heads by modality."""
    random = np.random.default_rng(100 + seed)
    return {
        name: {m: (random.normal(size=shape) / 2).astype("float32") for m in MODALITIES}
        for name, shape in (("encoder", (WIDTH, WIDTH)), ("head", (WIDTH, DIM)))
    }


class ContrastiveToy(HarmonizedModel):
    """Three towers `tanh(x W) H`, and a contrastive loss from one to another.

    Args:
        num_losses: int, how many of `PAIRS` have a loss.
    """

    loss_inputs = ("audio_mask", "text_mask")

    def __init__(self, num_losses=2):
        super().__init__()
        self.num_losses = num_losses
        self.towers = {
            name: {
                m: self.add_weight(shape=value.shape, name=f"{name}_{m}")
                for m, value in of_modality.items()
            }
            for name, of_modality in initial_weights().items()
        }
        for name, of_modality in initial_weights().items():
            for m, value in of_modality.items():
                self.towers[name][m].assign(value)
        self.built = True

    def branches(self):
        def branch(m):
            def encode(batch, training):
                return ops.tanh(ops.matmul(batch[m], self.towers["encoder"][m]))

            def embed(features, training):
                return ops.matmul(features, self.towers["head"][m])

            return Branch((m,), encode, embed)

        return {m: branch(m) for m in MODALITIES}

    def branch_losses(self):
        def loss(first, second):
            def mask_of(batch):
                return pair_mask(first, second, batch)

            def per_sample(outputs, batch):
                scores = ops.matmul(outputs[first], ops.transpose(outputs[second]))
                mask = mask_of(batch)
                scale = ops.cast(ops.shape(mask)[0], "float32")
                scale = scale / ops.maximum(ops.sum(mask), 1.0)
                masked = scores - 1e4 * (1 - mask)[None]
                terms = ops.logsumexp(masked, axis=1) - ops.diagonal(scores)
                return terms * mask * scale

            return BranchLoss(
                f"{first}_{second}_loss", (first, second), 0.5, per_sample, mask_of
            )

        return [loss(*pair) for pair in PAIRS[: self.num_losses]]

    def mask_samples(self, loss_inputs, kept):
        kept = ops.cast(kept, "float32")
        return {name: mask * kept for name, mask in loss_inputs.items()}


def pair_mask(first, second, batch):
    """Returns 1 for the clips that have both modalities; all have video."""
    mask = batch[f"{second}_mask"]
    return mask if first == "video" else mask * batch[f"{first}_mask"]


class NumpyToy:
    """The same model, differentiated by hand in float64."""

    def __init__(self, num_losses=2):
        self.pairs = PAIRS[:num_losses]
        self.encoder, self.head = (
            {m: value.astype("float64") for m, value in of_modality.items()}
            for of_modality in initial_weights().values()
        )

    def features(self, batch):
        return {
            m: np.tanh(batch[m].astype("float64") @ self.encoder[m]) for m in MODALITIES
        }

    def cotangents(self, pair, batch, factors):
        """Gradients of one weighted loss with respect to both embeddings."""
        first, second = pair
        features = self.features(batch)
        left, right = (features[m] @ self.head[m] for m in pair)
        mask = pair_mask(
            first, second, {k: v.astype("float64") for k, v in batch.items()}
        )
        scores = left @ right.T - 1e4 * (1 - mask)[None]
        softmax = np.exp(scores - scores.max(axis=1, keepdims=True))
        softmax /= softmax.sum(axis=1, keepdims=True)
        of_scores = (softmax - np.eye(len(mask))) * (mask * factors)[:, None]
        of_scores *= 0.5 / max(mask.sum(), 1.0)
        return {first: of_scores @ right, second: of_scores.T @ left}

    def gradients_of_features(self, batch):
        """For each loss a dict from modality to the gradient of its features."""
        ones = np.ones(len(batch["video"]))
        return [
            {
                m: cotangent @ self.head[m].T
                for m, cotangent in self.cotangents(pair, batch, ones).items()
            }
            for pair in self.pairs
        ]

    def weighted_gradients(self, batch, weights):
        """Gradients of all towers, by `weights` of shape `(clips, losses)`."""
        features = self.features(batch)
        of_features = self.gradients_of_features(batch)
        result = {"encoder": {}, "head": {}}
        for m in MODALITIES:
            rows, of_head = np.zeros_like(features[m]), np.zeros_like(self.head[m])
            for k, pair in enumerate(self.pairs):
                if m not in pair:
                    continue
                rows += weights[:, k : k + 1] * of_features[k][m]
                weighted = self.cotangents(pair, batch, weights[:, k])
                of_head += features[m].T @ weighted[m]
            inputs = batch[m].astype("float64")
            result["encoder"][m] = inputs.T @ (rows * (1 - features[m] ** 2))
            result["head"][m] = of_head
        return result
