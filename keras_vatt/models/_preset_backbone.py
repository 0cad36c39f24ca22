"""Loads and saves backbones as presets."""

from keras_vatt.models._preset_configs import (
    constructing,
    default_arguments,
    read_config,
    take_arguments,
)
from keras_vatt.models._preset_list import registered_class
from keras_vatt.models._preset_loading import LoadsFromPreset
from keras_vatt.models._preset_saving import SavesToPreset
from keras_vatt.storage import PresetError
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._config_guard import class_of
from keras_vatt.storage._parameter_limits import (
    available_parameters,
    check_parameters,
)


class BackboneFromPreset(LoadsFromPreset, SavesToPreset):
    """Mixin of the backbones that load from presets."""

    @classmethod
    def _model_from_preset(cls, folder, tensors, dtype, overrides):
        config = read_config(folder, files.BACKBONE)
        found = class_of(config, BackboneFromPreset, files.BACKBONE)
        if not issubclass(found, cls):
            raise PresetError(
                f"The preset {folder.name!r} has a {found.__name__}, not a "
                f"{cls.__name__}"
            )
        own = take_arguments(found, overrides)
        if dtype is not None:
            _check_not_quantized(config, folder)
            own["dtype"] = dtype
        config = config["config"] | own
        with constructing(folder):
            minimum = found.minimum_parameters(default_arguments(found) | config)
            check_parameters(minimum, available_parameters(tensors), folder.name)
            return found.from_config(config)

    @classmethod
    def _can_load(cls, description):
        return issubclass(registered_class(description["backbone"]), cls)


def _check_not_quantized(config, folder):
    policy = config["config"].get("dtype")
    if isinstance(policy, dict) and policy.get("class_name") == "DTypePolicyMap":
        raise PresetError(
            f"The preset {folder.name!r} is quantized, so its dtypes can't be changed: "
            "leave out `dtype`, or load the preset that it was quantized from"
        )
