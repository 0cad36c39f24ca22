"""The provenance of the weights of a preset."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

_LISTS = ("datasets", "commands")


@dataclasses.dataclass(frozen=True)
class Provenance:
    """The origin of a preset's weights: license, source, training and evaluation.

    The model card shows it, and the preset stores it.

    Args:
        description: string, one sentence on the model. Defaults to `""`.
        license: string, the identifier of a license, such as `"apache-2.0"`. Defaults
            to `None`, unknown.
        source: string, the origin of the weights. Defaults to `None`.
        datasets: tuple of strings, the training datasets. Defaults to `()`.
        training: dict from training setting to value. Defaults to `{}`.
        commands: tuple of strings, the command lines that train the weights and
            repeat the evaluation. Defaults to `()`.
        evaluation: dict from task to a dict from metric to its value. Defaults to
            `{}`.
        plots: dict from file name to the bytes of a PNG image. Defaults to `{}`.

    Example:
    ```python
    model.provenance = keras_vatt.Provenance(
        description="VATT on birds.", license="cc-by-4.0", datasets=("my-birds",)
    )
    model.save_to_preset("birds")
    ```
    """

    description: str = ""
    license: str | None = None
    source: str | None = None
    datasets: tuple[str, ...] = ()
    training: dict = dataclasses.field(default_factory=dict)
    commands: tuple[str, ...] = ()
    evaluation: dict = dataclasses.field(default_factory=dict)
    plots: dict = dataclasses.field(default_factory=dict, repr=False)

    def get_config(self) -> dict[str, Any]:
        """Returns a dict of JSON types with everything except the plots."""
        config = dataclasses.asdict(dataclasses.replace(self, plots={}))
        del config["plots"]
        return config

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], plots: Mapping[str, bytes] | None = None
    ) -> Self:
        """Makes a provenance from the result of `get_config`.

        Args:
            config: dict. Unknown entries are ignored. `"licence"`, the key of earlier
                releases, is read as `"license"`.
            plots: dict from file name to bytes. Defaults to `None`, no plots.

        Raises:
            ValueError: if an entry has another type than in `get_config`.
        """
        config = {"license": config.get("licence")} | dict(config)
        names = {field.name for field in dataclasses.fields(cls)} - {"plots"}
        known = {name: value for name, value in config.items() if name in names}
        wrong = [name for name, value in known.items() if not _fits(name, value)]
        if wrong:
            raise ValueError(f"the provenance has entries of a wrong type: {wrong}")
        for name in _LISTS:
            known[name] = tuple(known.get(name, ()))
        return cls(**known, plots=plots or {})

    def changed(self) -> Self:
        """Returns the provenance of weights that were trained further."""
        return self.derived("trained further")

    def derived(self, made: str) -> Self:
        """Returns the provenance of a model that was derived from this one.

        Args:
            made: string, the way it was derived, such as `"quantized"`.
        """
        origin = self.source or self.description or "another preset"
        # Derived twice in the same way reads like once.
        source = f"{made} from {origin.removeprefix(f'{made} from ')}"
        return Provenance(license=self.license, source=source)


def _fits(name, value):
    if name == "description":
        return isinstance(value, str)
    if name in _LISTS:
        is_list = isinstance(value, list | tuple)
        return is_list and all(isinstance(entry, str) for entry in value)
    if name == "training":
        return isinstance(value, dict)
    if name == "evaluation":
        is_dict = isinstance(value, dict)
        return is_dict and all(isinstance(part, dict) for part in value.values())
    return value is None or isinstance(value, str)
