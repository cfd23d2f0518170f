from dataclasses import replace

import numpy as np

from bench.checks.common import tiny_faces
from bench.stages.distinct import distinct, distinct_faces


def test_rows_come_back_from_the_distinct_ones():
    values = np.array([[3, 1], [2, 2], [3, 1], [0, 0], [2, 2]])
    rows, inverse = distinct([values])
    assert rows.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(values[rows][inverse], values)


def test_faces_differ_by_landmarks_only_for_networks_that_align():
    faces = tiny_faces(3)
    blank = replace(faces, images=np.zeros_like(faces.images))
    assert len(distinct_faces(blank, aligned=False)[0]) == 1
    assert faces.landmarks is not None
    assert len(distinct_faces(blank, aligned=True)[0]) == len(np.unique(faces.landmarks, axis=0))
