"""Embeddings, losses and gradients of an audit in float64 NumPy, in plain formulas."""

import numpy as np
from keras import ops

TEMPERATURE = 0.07
STEP = 1e-6


def values_of(layer):
    return [ops.convert_to_numpy(w).astype(np.float64) for w in layer.weights]


def normalized(x, layer):
    """Batch norm in inference mode."""
    weights = {
        w.path.split("/")[-1]: ops.convert_to_numpy(w).astype(np.float64)
        for w in layer.weights
    }
    scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + layer.epsilon)
    return (x - weights["moving_mean"]) * scale + weights["beta"]


def video_embeddings(head, features):
    (kernel,) = values_of(head.video_hidden)
    x = np.maximum(normalized(features @ kernel, head.video_hidden_norm), 0)
    (kernel,) = values_of(head.video_to_audio)
    to_audio = normalized(x @ kernel, head.video_to_audio_norm)
    (kernel,) = values_of(head.video_to_text)
    x = np.maximum(to_audio, 0) @ kernel
    return {"audio": to_audio, "text": normalized(x, head.video_to_text_norm)}


def other_embeddings(head, modality, features):
    kernel, bias = values_of(getattr(head, f"{modality}_to_video"))
    return features @ kernel + bias


def cosines(first, second):
    first, second = (
        x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (first, second)
    )
    return first @ second.T


def losses(head, modality, video, other):
    """NCE of each clip: its audio against others, and its video against others."""
    left = video_embeddings(head, video)[modality]
    scores = cosines(left, other_embeddings(head, modality, other)) / TEMPERATURE
    pooled = np.concatenate([scores, scores.T], axis=1)
    return np.log(np.exp(pooled).sum(axis=1)) - np.diagonal(scores)


def gradients(head, modality, video, other):
    """Central differences of the sum of the losses at the video features."""
    result = np.zeros_like(video)
    for place in np.ndindex(video.shape):
        ends = []
        for sign in (1, -1):
            moved = video.copy()
            moved[place] += sign * STEP
            ends.append(losses(head, modality, moved, other).sum())
        result[place] = (ends[0] - ends[1]) / (2 * STEP)
    return result


def contrasts(head, features, present, seed, rounds, negatives):
    """Means of the losses and of the cosines of the gradients, clip by clip."""
    num_clips = len(features["video"])
    random = np.random.default_rng(seed)
    of_clips = [{"audio": [], "text": [], "cosine": []} for _ in range(num_clips)]
    for _ in range(rounds):
        order = random.permutation(num_clips)
        of_round = [{} for _ in range(num_clips)]
        for modality in ("audio", "text"):
            pool = [clip for clip in order if present[modality][clip]]
            size = min(negatives + 1, len(pool))
            for start in range(0, len(pool), size):
                own = pool[start : start + size]
                batch = own + pool[: size - len(own)]
                rows = features["video"][batch], features[modality][batch]
                values = losses(head, modality, *rows)
                of_video = gradients(head, modality, *rows)
                for place, clip in enumerate(own):
                    of_clips[clip][modality].append(values[place])
                    of_round[clip][modality] = of_video[place]
        for clip, found in enumerate(of_round):
            if len(found) == 2:
                cosine = cosines(found["audio"], found["text"])
                of_clips[clip]["cosine"].append(cosine)
    return {
        name: np.array([np.mean(c[name]) if c[name] else np.nan for c in of_clips])
        for name in ("audio", "text", "cosine")
    }
