"""Classifiers of video, audio and images on a VATT backbone."""

import keras

from keras_vatt.models._classifier_base import VATTClassifier


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTVideoClassifier(VATTClassifier):
    """Classifies video clips.

    `fit`, `evaluate`, `predict` and `classify` take files and other raw clips.

    Args:
        backbone: a VATT backbone with `"video"`.
        num_classes: int. Number of classes.
        dropout: float. Dropout rate before the classifier. Defaults to `0.5`.
        class_names: sequence of strings, one name per class; saved with the model.
            Defaults to `None`.
        multi_label: bool. Whether a clip may have several classes (a sigmoid per logit)
            rather than exactly one (a softmax over all logits). Defaults to `False`.
        preprocessor: `keras_vatt.VATTPreprocessor` for raw clips. Defaults to `None`.
        **kwargs: `name`.

    Example:
    ```python
    classifier = keras_vatt.VATTVideoClassifier(backbone, num_classes=400)
    classifier(np.zeros((2, 32, 224, 224, 3), "float32")).shape  # (2, 400)

    classifier = keras_vatt.VATTVideoClassifier.from_preset(
        "vatt_tiny_agnostic", num_classes=2, class_names=("cat", "dog")
    )
    classifier.fit(["cat.mp4", "dog.mp4"], [0, 1], epochs=3)
    classifier.classify("pet.mp4", num_windows=4, num_crops=3)  # [[("dog", 0.8), ...]]
    ```
    """

    modality = "video"
    input_kind = "video"
    default_dropout = 0.5
    kernel_initializer = "glorot_normal"
    pipeline_tag = "video-classification"
    usage_example = (
        'model.classify(["clip.mp4"], top_k=5, num_windows=4, num_crops=3)\n'
        'logits = model.predict(["clip.mp4"])  # an array of shape (1, num_classes)'
    )


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTImageClassifier(VATTClassifier):
    """Classifies images with the video encoder of any VATT backbone.

    An image is repeated to a clip of one temporal patch (4 frames in VATT), as VATT is
    fine-tuned on ImageNet (arXiv 2104.11178). It gets the first row of the temporal
    position table, like in the original code.

    `fit`, `evaluate`, `predict` and `classify` take files (PNG, JPEG, WebP, BMP, TIFF,
    GIF), their bytes, and uint8 arrays of shape `(height, width, 3)` or
    `(images, height, width, 3)`. The shorter side is resized to the preprocessor's
    frame size, and the longer side is cropped. Batches of floats in [-1, 1], or of
    uint8 images that already have that size, stay as they are.

    Args:
        backbone: a VATT backbone with `"video"`.
        num_classes: int. Number of classes.
        dropout: float. Dropout rate before the classifier. Defaults to `0.5`.
        class_names: sequence of strings, one name per class; saved with the model.
            Defaults to `None`.
        multi_label: bool. Whether an image may have several classes (a sigmoid per
            logit) rather than exactly one (a softmax over all logits). Defaults to
            `False`.
        preprocessor: `keras_vatt.VATTPreprocessor` for raw images. Defaults to `None`.
        **kwargs: `name`.

    Example:
    ```python
    classifier = keras_vatt.VATTImageClassifier.from_preset(
        "vatt_tiny_agnostic", num_classes=2, class_names=("cat", "dog")
    )
    photo = np.zeros((48, 64, 3), "uint8")
    classifier.fit([photo, photo], [0, 1], epochs=3)
    classifier.classify(photo)  # [[("dog", 0.5), ("cat", 0.5)]]
    ```
    """

    modality = "video"
    input_kind = "image"
    default_dropout = 0.5
    kernel_initializer = "glorot_normal"
    pipeline_tag = "image-classification"
    usage_example = (
        'model.classify(["photo.jpg"], top_k=5)\n'
        'logits = model.predict(["photo.jpg"])  # an array of shape (1, num_classes)'
    )


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTAudioClassifier(VATTClassifier):
    """Classifies audio clips.

    `fit`, `evaluate`, `predict` and `classify` take files and other raw clips.

    Args:
        backbone: a VATT backbone with `"audio"`.
        num_classes: int. Number of classes.
        dropout: float. Dropout rate before the classifier. Defaults to `0.0`.
        class_names: sequence of strings, one name per class; saved with the model.
            Defaults to `None`.
        multi_label: bool. Whether a clip may have several classes (a sigmoid per logit)
            rather than exactly one (a softmax over all logits), like VATT's classifiers
            of AudioSet. The bias then starts at `-log(num_classes - 1)`, which gives
            each class the probability `1 / num_classes`. Defaults to `False`.
        preprocessor: `keras_vatt.VATTPreprocessor` for raw clips. Defaults to `None`.
        **kwargs: `name`.

    Example:
    ```python
    classifier = keras_vatt.VATTAudioClassifier(backbone, 527, multi_label=True)
    classifier(np.zeros((2, 153_600, 1), "float32")).shape  # (2, 527)

    classifier = keras_vatt.VATTAudioClassifier.from_preset(
        "vatt_tiny_agnostic", num_classes=2, class_names=("speech", "music")
    )
    classifier.fit(["talk.wav", "song.mp3"], [0, 1], epochs=3)
    classifier.classify("radio.ogg", num_windows=4)  # [[("speech", 0.8), ...]]
    ```
    """

    modality = "audio"
    input_kind = "audio"
    pipeline_tag = "audio-classification"
    usage_example = (
        'model.classify(["sound.wav"], top_k=5, num_windows=4)\n'
        'logits = model.predict(["sound.wav"])  # an array of shape (1, num_classes)'
    )
