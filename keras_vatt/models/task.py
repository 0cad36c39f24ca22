"""What the VATT tasks share."""

import keras
import keras_nlp

from keras_vatt.models.backbone import VATTBackbone
from keras_vatt.models.presets import TaskFromPreset
from keras_vatt.models.quantization import QuantizesBackbone


class VATTTask(TaskFromPreset, QuantizesBackbone, keras_nlp.models.Task):
    """A VATT backbone with something around it, fed with decoded batches."""

    backbone_cls = VATTBackbone

    # Batches come decoded and tokenized, from pipelines that know time, masks
    # and candidates: KerasHub's mapping of the preprocessor over the data, and
    # the kinds of dataset that it can't take, are not wanted here.
    fit = keras.Model.fit
    evaluate = keras.Model.evaluate
    predict = keras.Model.predict
    train_on_batch = keras.Model.train_on_batch
    test_on_batch = keras.Model.test_on_batch
    predict_on_batch = keras.Model.predict_on_batch
