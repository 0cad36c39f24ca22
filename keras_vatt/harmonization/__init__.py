"""Methods that combine the gradients of several losses.

One abstraction: a harmonizer is a pure function of the Gram matrix of the gradients
(their K x K inner products) and the step. It returns the weights of the gradients in
the update and a flag, whether to apply or to skip it. `gradient_gram` computes the Gram
matrix, a `Harmonizer` turns it into weights, and `combine_gradients` applies them.
Harmonizers also take batches of Gram matrices, `(..., K, K)`, each on its own.
`Sum` returns ones: the gradient of the plain total of the losses.

| class           | without conflicts   | weights     | TorchJD returns           |
|-----------------|---------------------|-------------|---------------------------|
| `Sum`           | ones                | of a sum    | the same                  |
| `Mean`          | 1/K                 | sum to one  | the same                  |
| `Constant`      | the given ones      | as given    | the same                  |
| `Random`        | drawn               | of a sum    | 1/K of ours               |
| `Realignment`   | ones                | of a sum    | none                      |
| `Curriculum`    | ones                | of a sum    | none                      |
| `PCGrad`        | ones                | of a sum    | the same, in random order |
| `GradVac`       | ones with target 0  | of a sum    | the same, in random order |
| `MovingGradVac` | ones at step 0      | of a sum    | the same, in random order |
| `CAGrad`        | ones with `c=0`     | of a sum    | the mean: 1/K of ours     |
| `UPGrad`        | ones                | of a sum    | the mean: 1/K of ours     |
| `DualProj`      | ones                | of a sum    | the mean: 1/K of ours     |
| `AlignedMTL`    | orthogonalized      | of a sum    | the mean: 1/K of ours     |
| `ConFIG`        | equal angles        | of a sum    | the same                  |
| `NashMTL`       | bargained           | of a sum    | a multiple of ours        |
| `FairGrad`      | fair                | of a sum    | a multiple of ours        |
| `MGDA`          | the shortest mix    | sum to one  | the same                  |
| `IMTLG`         | equal projections   | sum to one  | the same                  |
| `SDMGrad`       | shortest and mean   | sum to one  | the same                  |
| `MoDo`          | toward the shortest | sum to one  | the same, not normalized  |
| `Krum`          | the most central    | sum to one  | the same without ties     |
| `PCD`           | the first, tilted   | norm of one | the same with `eps=0`     |
| `CRMOGM`        | averaged            | as wrapped  | the same                  |

"Of a sum": of the size of the plain sum of the gradients. "Sum to one": a step about K
times shorter at the same learning rate.

`Chain` runs several of them in order. `MovingGradVac`, `SDMGrad`, `MoDo`, `PCD` and
`CRMOGM` are `StatefulHarmonizer`s: they take and return a state over the steps.
"""

from keras_vatt.harmonization._aligned_mtl import AlignedMTL
from keras_vatt.harmonization._cagrad import CAGrad
from keras_vatt.harmonization._chain import Chain
from keras_vatt.harmonization._config import ConFIG
from keras_vatt.harmonization._constant import Constant
from keras_vatt.harmonization._crmogm import CRMOGM
from keras_vatt.harmonization._curriculum import Curriculum
from keras_vatt.harmonization._dualproj import DualProj
from keras_vatt.harmonization._fairgrad import FairGrad
from keras_vatt.harmonization._gradvac import GradVac
from keras_vatt.harmonization._gram import (
    combine_gradients,
    cosine_matrix,
    gradient_gram,
    gradient_norms,
    smallest_cosine,
)
from keras_vatt.harmonization._harmonizer import Harmonizer, StatefulHarmonizer
from keras_vatt.harmonization._identifiers import get
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
from keras_vatt.harmonization._thresholds import LinearThreshold
from keras_vatt.harmonization._upgrad import UPGrad

__all__ = [
    "AlignedMTL",
    "CAGrad",
    "CRMOGM",
    "Chain",
    "ConFIG",
    "Constant",
    "Curriculum",
    "DualProj",
    "FairGrad",
    "GradVac",
    "Harmonizer",
    "IMTLG",
    "Krum",
    "LinearThreshold",
    "MGDA",
    "Mean",
    "MoDo",
    "MovingGradVac",
    "NashMTL",
    "PCD",
    "PCGrad",
    "Random",
    "Realignment",
    "SDMGrad",
    "StatefulHarmonizer",
    "Sum",
    "UPGrad",
    "combine_gradients",
    "cosine_matrix",
    "get",
    "gradient_gram",
    "gradient_norms",
    "smallest_cosine",
]
