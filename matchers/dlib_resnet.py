"""dlib's face recognition network: a ResNet of 29 layers, 128-D."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api import Context, Faces, Matcher, Pretrained
from bench.geometry import DLIB_150, align
from bench.weights import pretrained_file

_BATCH = 16


class DlibResNet(Matcher):
    """The extra `dlib` installs it: dlib itself, and the network inside the package face_recognition_models.

    dlib cuts its chips by the 68 points that it finds itself; here the five of the dataset serve. It compares
    by Euclidean distance, with vectors whose lengths are much alike, the harness by their cosine.
    """

    title = "dlib ResNet"
    paper = "King, Dlib-ml, JMLR 2009; dlib_face_recognition_resnet_model_v1"
    pretrained = Pretrained(
        file="models/dlib_face_recognition_resnet_model_v1.dat",
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        licence="CC0-1.0",
        source="davisking/dlib-models, in the package face_recognition_models 0.3.0",
        modules=("face_recognition_models", "dlib"),
        extra="dlib",
    )

    _network: Any = None

    def prepare(self, ctx: Context) -> None:
        """Find, verify and load the network; raises Unavailable with the remedy."""
        assert self.pretrained is not None
        path = pretrained_file(self.pretrained, ctx.weights)
        import dlib

        self._network = dlib.face_recognition_model_v1(str(path))

    def _embed(self, faces: Faces, ctx: Context) -> NDArray[np.float32]:
        if self._network is None:
            self.prepare(ctx)
        found = np.empty((len(faces), 128), np.float32)
        for start in range(0, len(faces), _BATCH):
            chips = align(faces.take(slice(start, start + _BATCH)), DLIB_150)
            vectors = self._network.compute_face_descriptor(list(chips))
            found[start : start + _BATCH] = np.array(vectors, np.float32)
        return found
