"""Where the weights of a preset come from, and what is known of them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What a preset's card says of its weights.

    Args:
        description: string, one sentence on the model. Defaults to `""`.
        licence: string, the identifier of a licence, such as `"apache-2.0"`.
            Defaults to `None`, not known.
        source: string, where the weights come from. Defaults to `None`.
        datasets: tuple of strings, what the weights were trained on. Defaults to
            `()`.
        training: dict from what was set in training to its value. Defaults to `{}`.
        evaluation: dict from task to a dict from metric to its value. Defaults to
            `{}`.
        plots: dict from file name to the bytes of a PNG picture. Defaults to `{}`.

    Example:
    ```python
    model.provenance = keras_vatt.Provenance(
        description="VATT on birds.", licence="cc-by-4.0", datasets=("my-birds",)
    )
    model.save_to_preset("birds")
    ```
    """

    description: str = ""
    licence: str | None = None
    source: str | None = None
    datasets: tuple[str, ...] = ()
    training: dict = dataclasses.field(default_factory=dict)
    evaluation: dict = dataclasses.field(default_factory=dict)
    plots: dict = dataclasses.field(default_factory=dict, repr=False)

    def get_config(self):
        """What JSON can hold: all but the plots."""
        config = dataclasses.asdict(dataclasses.replace(self, plots={}))
        del config["plots"]
        return config

    @classmethod
    def from_config(cls, config, plots=None):
        """Provenance from what `get_config` returned; unknown entries are ignored.

        Raises:
            ValueError: if an entry is of another type than `get_config` gives it.
        """
        names = {field.name for field in dataclasses.fields(cls)} - {"plots"}
        known = {name: value for name, value in config.items() if name in names}
        wrong = [name for name, value in known.items() if not _fits(name, value)]
        if wrong:
            raise ValueError(f"the provenance has entries of another type: {wrong}")
        known["datasets"] = tuple(known.get("datasets", ()))
        return cls(**known, plots=plots or {})

    def changed(self):
        """Returns the provenance of weights that were trained on from these."""
        return self.derived("trained further")

    def derived(self, made):
        """Returns the provenance of a model that was made from this one.

        Args:
            made: string, how it was made, such as `"quantized"`.
        """
        origin = self.source or self.description or "another preset"
        # Made so twice reads as once.
        source = f"{made} from {origin.removeprefix(f'{made} from ')}"
        return Provenance(licence=self.licence, source=source)


def _fits(name, value):
    if name == "description":
        return isinstance(value, str)
    if name == "datasets":
        is_list = isinstance(value, list | tuple)
        return is_list and all(isinstance(dataset, str) for dataset in value)
    if name == "training":
        return isinstance(value, dict)
    if name == "evaluation":
        is_dict = isinstance(value, dict)
        return is_dict and all(isinstance(part, dict) for part in value.values())
    return value is None or isinstance(value, str)
