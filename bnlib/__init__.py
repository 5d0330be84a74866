"""bnlib: Batch Normalization from the formulas up, in NumPy.

Read the package in this order: functional (the mathematics), views, norms, layers and
convolution, network, losses, optim, training, recording, inference, grid, diagnosis.
`bnlib.widgets` and `bnlib.figures` draw; nothing else imports Matplotlib or ipywidgets. They and
`bnlib.exercises` are imported where they are used.
"""

from bnlib import functional
from bnlib.convolution import Conv2d, Flatten, MaxPool2d
from bnlib.data import load_mnist
from bnlib.diagnosis import diagnose
from bnlib.gradients import gradcheck
from bnlib.grid import SweepResult, sweep
from bnlib.inference import fold_batchnorm, population_statistics
from bnlib.layers import Dense, Dropout, ReLU, Residual, Sigmoid, Tanh
from bnlib.losses import softmax_cross_entropy
from bnlib.network import Sequential, cnn, mlp
from bnlib.norms import (
    BatchNorm,
    BatchRenorm,
    GhostNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RMSNorm,
)
from bnlib.optim import SGD
from bnlib.projector import use_projector
from bnlib.recording import Recorder, Recording
from bnlib.threads import blas_threads, one_blas_thread, use_one_blas_thread
from bnlib.training import Run, Trainer, accuracy, compare, train, training_blas_threads
from bnlib.views import NonFiniteError

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "BatchNorm",
    "BatchRenorm",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GhostNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "MaxPool2d",
    "NonFiniteError",
    "RMSNorm",
    "ReLU",
    "Recorder",
    "Recording",
    "Residual",
    "Run",
    "Sequential",
    "Sigmoid",
    "SweepResult",
    "Tanh",
    "Trainer",
    "accuracy",
    "blas_threads",
    "cnn",
    "compare",
    "diagnose",
    "fold_batchnorm",
    "functional",
    "gradcheck",
    "load_mnist",
    "mlp",
    "one_blas_thread",
    "population_statistics",
    "softmax_cross_entropy",
    "sweep",
    "train",
    "training_blas_threads",
    "use_one_blas_thread",
    "use_projector",
]
