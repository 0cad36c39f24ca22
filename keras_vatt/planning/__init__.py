"""Plans of a training on TPUs: compiled for them on a machine without a TPU."""

from keras_vatt._lazy import lazy_attributes
from keras_vatt.planning._errors import PlanningError
from keras_vatt.planning._topologies import CHIPS, Chip, Topology, parse_topology

__all__ = ["CHIPS", "Chip", "Plan", "PlanningError", "Topology", "parse_topology"]

__getattr__, __dir__ = lazy_attributes(
    __name__, objects={"Plan": "keras_vatt.planning._plan"}
)
