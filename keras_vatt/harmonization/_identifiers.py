"""Creation of harmonizers by name."""

from __future__ import annotations

from typing import Any

import keras

from keras_vatt.harmonization._aligned_mtl import AlignedMTL
from keras_vatt.harmonization._cagrad import CAGrad
from keras_vatt.harmonization._chain import Chain
from keras_vatt.harmonization._config import ConFIG
from keras_vatt.harmonization._curriculum import Curriculum
from keras_vatt.harmonization._dualproj import DualProj
from keras_vatt.harmonization._fairgrad import FairGrad
from keras_vatt.harmonization._gradvac import GradVac
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._imtlg import IMTLG
from keras_vatt.harmonization._krum import Krum
from keras_vatt.harmonization._mean import Mean
from keras_vatt.harmonization._mgda import MGDA
from keras_vatt.harmonization._modo import MoDo
from keras_vatt.harmonization._moving_gradvac import MovingGradVac
from keras_vatt.harmonization._nashmtl import NashMTL
from keras_vatt.harmonization._pcd import PCD
from keras_vatt.harmonization._pcgrad import PCGrad
from keras_vatt.harmonization._random import Random
from keras_vatt.harmonization._realignment import Realignment
from keras_vatt.harmonization._sdmgrad import SDMGrad
from keras_vatt.harmonization._sum import Sum
from keras_vatt.harmonization._upgrad import UPGrad

_HARMONIZERS = {
    "alignedmtl": AlignedMTL,
    "cagrad": CAGrad,
    "config": ConFIG,
    "curriculum": Curriculum,
    "dualproj": DualProj,
    "fairgrad": FairGrad,
    "gradvac": GradVac,
    "imtlg": IMTLG,
    "krum": Krum,
    "mean": Mean,
    "mgda": MGDA,
    "modo": MoDo,
    "movinggradvac": MovingGradVac,
    "nashmtl": NashMTL,
    "pcd": PCD,
    "pcgrad": PCGrad,
    "random": Random,
    "realign": Realignment,
    "realignment": Realignment,
    "sdmgrad": SDMGrad,
    "sum": Sum,
    "upgrad": UPGrad,
}


def get(identifier: str | dict[str, Any] | Harmonizer | None) -> Harmonizer:
    """Returns the harmonizer for an identifier.

    Args:
        identifier: a `Harmonizer`, returned as it is; `None` for `Sum`; a
            serialized harmonizer (dict); or a name in any case, for the defaults of
            that class: `"alignedmtl"`, `"cagrad"`, `"config"`, `"curriculum"`,
            `"dualproj"`, `"fairgrad"`, `"gradvac"`, `"imtlg"`, `"krum"`, `"mean"`,
            `"mgda"`, `"modo"`, `"movinggradvac"`, `"nashmtl"`, `"pcd"`, `"pcgrad"`,
            `"random"`, `"realign"` or `"realignment"`, `"sdmgrad"`, `"sum"`,
            `"upgrad"`. Names joined by `+` make a `Chain`, left to right.

    Returns:
        A `Harmonizer`.

    Raises:
        ValueError: if the identifier is none of these, or if joined names include a
            `StatefulHarmonizer`.

    Example:
    ```python
    from keras_vatt import harmonization

    both = harmonization.get("curriculum+realign")  # Curriculum, then Realignment
    ```
    """
    if identifier is None:
        return Sum()
    if isinstance(identifier, Harmonizer):
        return identifier
    if isinstance(identifier, str):
        members = [_from_name(name) for name in identifier.split("+")]
        return members[0] if len(members) == 1 else Chain(members)
    if isinstance(identifier, dict):
        harmonizer = keras.saving.deserialize_keras_object(identifier)
        if isinstance(harmonizer, Harmonizer):
            return harmonizer
    raise _not_understood(identifier)


def _from_name(name):
    harmonizer = _HARMONIZERS.get(name.strip().lower())
    if harmonizer is None:
        raise _not_understood(name)
    return harmonizer()


def _not_understood(identifier):
    is_class = isinstance(identifier, type) and issubclass(identifier, Harmonizer)
    hint = f". Pass an instance: `{identifier.__name__}()`" if is_class else ""
    return ValueError(
        "A harmonizer must be a `Harmonizer`, a serialized one, `None`, or names out "
        f"of {sorted(_HARMONIZERS)}, joined by '+'. Received: {identifier!r}{hint}"
    )
