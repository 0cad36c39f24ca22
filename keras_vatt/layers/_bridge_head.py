"""Heads that map the modalities' features into common spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_vatt.layers._batch_normalization import StableBatchNormalization
from keras_vatt.layers._inner_call import call_inner

# Settings of the batch norms of all published models.
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5, "scale": True, "center": True}


class _BridgeHead(keras.layers.Layer):
    """Base class of the bridge heads."""

    def __init__(self, batch_norm: Mapping[str, Any] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        unknown = set(batch_norm or {}) - set(BATCH_NORM)
        if unknown:
            raise ValueError(
                f"`batch_norm` may have the entries {sorted(BATCH_NORM)}. "
                f"Received: {sorted(unknown)}"
            )
        self.batch_norm = BATCH_NORM | dict(batch_norm or {})

    def _dense(self, units, name, use_bias=False):
        return keras.layers.Dense(
            units, use_bias=use_bias, dtype=self.dtype_policy, name=name
        )

    def _batch_norm(self, name):
        return StableBatchNormalization(
            **self.batch_norm, dtype=self.dtype_policy, name=name
        )

    def call(self, features: dict[str, Any], training: bool | None = None) -> Any:
        embed = {
            "video": self._embed_video,
            "audio": self._embed_audio,
            "text": self._embed_text,
        }
        return {
            modality: embed[modality](pooled, training)
            for modality, pooled in features.items()
        }

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        # Presets of the published models keep their configs.
        if self.batch_norm != BATCH_NORM:
            config["batch_norm"] = dict(self.batch_norm)
        return config


@keras.saving.register_keras_serializable(package="keras_vatt")
class FactorizedBridgeHead(_BridgeHead):
    """VATT's head with a video-audio space and, derived from it, a video-text space.

    video -> Dense -> batch norm -> ReLU -> Dense -> batch norm = `to_audio`
    -> ReLU -> Dense -> batch norm = `to_text`; audio -> Dense = `to_video`;
    text -> Dense = `to_video`. VATT paper, section 3.2; `FACHead` of the
    original code.

    Args:
        video_audio_dim: int. Width of the video-audio space. Defaults to `512`.
        video_text_dim: int. Width of the video-text space. Defaults to `256`.
        batch_norm: dict. Arguments of the batch norms that differ from the published
            models: any of `momentum`, `epsilon`, `scale` and `center`; see
            `keras.layers.BatchNormalization`. Defaults to `None`: momentum `0.9` and
            epsilon `1e-5`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        features: dict from any of `"video"`, `"audio"` and `"text"` to the
            pooled features, `(rows, features_dim)`.
        training: bool. Whether batch norm uses and updates the statistics of
            the batch.

    Returns:
        A dict with the same keys: `{"to_audio", "to_text"}` for video,
        `{"to_video"}` for audio and for text.

    Example:
    ```python
    head = keras_vatt.layers.FactorizedBridgeHead()
    head.build({"video": (None, 64), "audio": (None, 64), "text": (None, 64)})
    head({"audio": np.ones((2, 64), "float32")})["audio"]["to_video"].shape  # (2, 512)
    ```
    """

    # Losses between audio and text need both in one space: `JointBridgeHead`.
    embeds_audio_and_text_together = False

    def __init__(
        self,
        video_audio_dim: int = 512,
        video_text_dim: int = 256,
        batch_norm: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_norm=batch_norm, **kwargs)
        self.video_audio_dim = video_audio_dim
        self.video_text_dim = video_text_dim

    def build(self, features_shape: dict[str, tuple[int | None, ...]]) -> None:
        hidden_shape = (None, self.video_audio_dim)
        self.video_hidden = self._dense(self.video_audio_dim, "video_hidden")
        self.video_hidden.build(features_shape["video"])
        self.video_hidden_norm = self._batch_norm("video_hidden_norm")
        self.video_hidden_norm.build(hidden_shape)
        self.video_to_audio = self._dense(self.video_audio_dim, "video_to_audio")
        self.video_to_audio.build(hidden_shape)
        self.video_to_audio_norm = self._batch_norm("video_to_audio_norm")
        self.video_to_audio_norm.build(hidden_shape)
        self.video_to_text = self._dense(self.video_text_dim, "video_to_text")
        self.video_to_text.build(hidden_shape)
        self.video_to_text_norm = self._batch_norm("video_to_text_norm")
        self.video_to_text_norm.build((None, self.video_text_dim))
        if "audio" in features_shape:
            self.audio_to_video = self._dense(
                self.video_audio_dim, "audio_to_video", use_bias=True
            )
            self.audio_to_video.build(features_shape["audio"])
        if "text" in features_shape:
            self.text_to_video = self._dense(
                self.video_text_dim, "text_to_video", use_bias=True
            )
            self.text_to_video.build(features_shape["text"])

    def _embed_video(self, pooled, training):
        x = call_inner(self.video_hidden, pooled)
        x = call_inner(self.video_hidden_norm, x, training=training)
        x = call_inner(self.video_to_audio, keras.ops.relu(x))
        to_audio = call_inner(self.video_to_audio_norm, x, training=training)
        x = call_inner(self.video_to_text, keras.ops.relu(to_audio))
        to_text = call_inner(self.video_to_text_norm, x, training=training)
        return {"to_audio": to_audio, "to_text": to_text}

    def _embed_audio(self, pooled, training):
        return {"to_video": call_inner(self.audio_to_video, pooled)}

    def _embed_text(self, pooled, training):
        return {"to_video": call_inner(self.text_to_video, pooled)}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "video_audio_dim": self.video_audio_dim,
                "video_text_dim": self.video_text_dim,
            }
        )
        return config


@keras.saving.register_keras_serializable(package="keras_vatt")
class JointBridgeHead(_BridgeHead):
    """A head with one common space: ReLU -> Dense -> batch norm for each modality.

    Only this head makes audio and text comparable, as an audio-text loss requires.
    `JointHead` of the original code.

    Args:
        joint_dim: int. Width of the common space. Defaults to `512`.
        batch_norm: dict. Arguments of the batch norms that differ from the published
            models: any of `momentum`, `epsilon`, `scale` and `center`; see
            `keras.layers.BatchNormalization`. Defaults to `None`: momentum `0.9` and
            epsilon `1e-5`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        features: dict from any of `"video"`, `"audio"` and `"text"` to the
            pooled features, `(rows, features_dim)`.
        training: bool. Whether batch norm uses and updates the statistics of
            the batch.

    Returns:
        A dict with the same keys: `{"to_audio", "to_text"}` for video (twice
        the same tensor), `{"to_video"}` for audio and for text.

    Example:
    ```python
    head = keras_vatt.layers.JointBridgeHead(joint_dim=128)
    head.build({"video": (None, 64), "audio": (None, 64), "text": (None, 64)})
    head({"text": np.ones((2, 64), "float32")})["text"]["to_video"].shape  # (2, 128)
    ```
    """

    embeds_audio_and_text_together = True

    def __init__(
        self,
        joint_dim: int = 512,
        batch_norm: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_norm=batch_norm, **kwargs)
        self.joint_dim = joint_dim

    def build(self, features_shape: dict[str, tuple[int | None, ...]]) -> None:
        for modality, shape in features_shape.items():
            dense = self._dense(self.joint_dim, f"{modality}_to_joint")
            dense.build(shape)
            setattr(self, f"{modality}_to_joint", dense)
            norm = self._batch_norm(f"{modality}_to_joint_norm")
            norm.build((None, self.joint_dim))
            setattr(self, f"{modality}_to_joint_norm", norm)

    def _embed_video(self, pooled, training):
        x = call_inner(self.video_to_joint, keras.ops.relu(pooled))
        joint = call_inner(self.video_to_joint_norm, x, training=training)
        return {"to_audio": joint, "to_text": joint}

    def _embed_audio(self, pooled, training):
        x = call_inner(self.audio_to_joint, keras.ops.relu(pooled))
        return {"to_video": call_inner(self.audio_to_joint_norm, x, training=training)}

    def _embed_text(self, pooled, training):
        x = call_inner(self.text_to_joint, keras.ops.relu(pooled))
        return {"to_video": call_inner(self.text_to_joint_norm, x, training=training)}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["joint_dim"] = self.joint_dim
        return config
