"""Regularised least squares on labels, solved in the space of the samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.per_attribute import Task


def class_ridge(kernel: NDArray[np.float64], task: Task, penalty: float) -> NDArray[np.float64]:
    """Coefficients a (N, k) of all N samples, 0 for unlabelled ones: sum_i a_i K(x_i, x) scores each class.

    kernel: (N, N), positive semi-definite. Targets are +1 and -1 for each class against the rest; samples are
    weighted so that classes have equal say: (K + penalty mean(diag K) W^-1) a = y.
    """
    from scipy.linalg import solve

    part = kernel[np.ix_(task.rows, task.rows)]
    weights = 1 / (task.priors[task.codes] * len(task.present))
    ridge = penalty * np.trace(part) / len(part)
    part[np.diag_indices_from(part)] += ridge / weights
    targets = np.where(task.codes[:, None] == np.arange(len(task.present)), 1.0, -1.0)
    coefficients = np.zeros((len(kernel), len(task.present)))
    coefficients[task.rows] = solve(part, targets, assume_a="pos", overwrite_a=True, overwrite_b=True)
    return coefficients
