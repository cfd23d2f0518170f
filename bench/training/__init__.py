"""How networks are trained: the supervised loop, and the parts that it shares with that of the methods."""

from bench.distributed import agreed, average_buffers, averaging, rand, start_alike
from bench.training.augment import PLAIN, Augment
from bench.training.batches import Pixels, own_rows, resize_images, rows_of_step
from bench.training.checkpoint import Checkpoint
from bench.training.losses import class_weights, masked_cross_entropy
from bench.training.optimisers import adam, descend
from bench.training.precision import precision_of
from bench.training.record import LossRecord
from bench.training.supervised import Loss, channels_last, fit_network, one_cycle, seeded

__all__ = [
    "PLAIN",
    "Augment",
    "Checkpoint",
    "Loss",
    "LossRecord",
    "Pixels",
    "adam",
    "agreed",
    "average_buffers",
    "averaging",
    "channels_last",
    "class_weights",
    "descend",
    "fit_network",
    "masked_cross_entropy",
    "one_cycle",
    "own_rows",
    "precision_of",
    "rand",
    "resize_images",
    "rows_of_step",
    "seeded",
    "start_alike",
]
