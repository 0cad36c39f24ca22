"""Methods that combine the gradients of several losses.

One abstraction: a harmonizer is a pure function of the Gram matrix of the gradients
(their K x K inner products) and the step. It returns the weights of the gradients in
the update and a flag, whether to apply or to skip it. `gradient_gram` computes the Gram
matrix, a `Harmonizer` turns it into weights, and `combine_gradients` applies them.
Harmonizers also take batches of Gram matrices, `(..., K, K)`, each on its own.
`Sum` returns ones: the gradient of the plain total of the losses.

| class         | without conflicts       | weights    | TorchJD returns           |
|---------------|-------------------------|------------|---------------------------|
| `Sum`         | ones                    | of a sum   | the same                  |
| `Realignment` | ones                    | of a sum   | none                      |
| `Curriculum`  | ones                    | of a sum   | none                      |
| `PCGrad`      | ones                    | of a sum   | the same, in random order |
| `GradVac`     | ones with target 0      | of a sum   | the same, in random order |
| `CAGrad`      | ones with `c=0`         | of a sum   | the mean: 1/K of ours     |
| `UPGrad`      | ones                    | of a sum   | the mean: 1/K of ours     |
| `MGDA`        | the shortest mix        | sum to one | the same                  |
| `IMTLG`       | equal projections       | sum to one | the same                  |

`Chain` runs several of them in order. The methods with weights that sum to one take
a step about K times shorter than the others at the same learning rate.
"""

from keras_vatt.harmonization._cagrad import CAGrad
from keras_vatt.harmonization._chain import Chain
from keras_vatt.harmonization._curriculum import Curriculum
from keras_vatt.harmonization._gradvac import GradVac
from keras_vatt.harmonization._gram import (
    combine_gradients,
    cosine_matrix,
    gradient_gram,
    gradient_norms,
    smallest_cosine,
)
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._identifiers import get
from keras_vatt.harmonization._imtlg import IMTLG
from keras_vatt.harmonization._mgda import MGDA
from keras_vatt.harmonization._pcgrad import PCGrad
from keras_vatt.harmonization._realignment import Realignment
from keras_vatt.harmonization._sum import Sum
from keras_vatt.harmonization._thresholds import LinearThreshold
from keras_vatt.harmonization._upgrad import UPGrad

__all__ = [
    "CAGrad",
    "Chain",
    "Curriculum",
    "GradVac",
    "Harmonizer",
    "IMTLG",
    "LinearThreshold",
    "MGDA",
    "PCGrad",
    "Realignment",
    "Sum",
    "UPGrad",
    "combine_gradients",
    "cosine_matrix",
    "get",
    "gradient_gram",
    "gradient_norms",
    "smallest_cosine",
]
