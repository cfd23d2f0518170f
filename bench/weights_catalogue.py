"""Every file of foreign weights that the project can use. The files themselves are not part of it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.foreign import Pretrained

_CELEBA = "box {} of aligned 178x218 CelebA"
_INSIGHTFACE = "MIT (repository); models for non-commercial research only"
_INTEL = "Apache-2.0 (Intel Open Model Zoo); the carrying repository states none"
_NONE_STATED = "none stated (treat as research use)"
_GITHUB = "https://raw.githubusercontent.com/"


@dataclass(frozen=True)
class Entry:
    """pretrained: file, checksum, licence, source. use: what for. geometry: what it reads.

    size: in bytes; 0 where each user's own conversion has its own.
    url: where the publisher's own file is, if that is the known one unchanged; the others are conversions.
    matcher: the matcher whose architecture the file must have, for files that users convert themselves.
    """

    pretrained: Pretrained
    size: int
    use: str
    geometry: str
    url: str = ""
    matcher: str = ""


def _entry(
    file: str,
    size: int,
    sha256: str,
    use: str,
    geometry: str,
    *,
    licence: str,
    source: str,
    url: str = "",
) -> Entry:
    return Entry(
        Pretrained(file=file, sha256=sha256, licence=licence, source=source), size, use, geometry, url
    )


def _own(name: str, geometry: str, *, licence: str, source: str) -> Entry:
    """A published network that users convert themselves: file and matcher are called `name`."""
    pretrained = Pretrained(file=f"{name}.safetensors", sha256="", licence=licence, source=source)
    return Entry(pretrained, 0, "matcher", geometry, matcher=name)


PRETRAINED: dict[str, Entry] = {
    "face_reidentification_retail_0095": _entry(
        "face_reidentification_retail_0095.onnx",
        2_258_968,
        "b3cae2ac7e6a31eb07ec8a29035d2b8007c1d631397199260620802228d093db",
        "matcher",
        "128x128 BGR 0..255, Intel five-point template",
        licence=_INTEL,
        source="thstung/Employee-Auto-Checking, Models/face-reidentification-retail-0095/FP32",
    ),
    "mobilefacenet_y1_insightface": _entry(
        "mobilefacenet_y1_insightface.onnx",
        3_984_862,
        "cb1db861afbc870676789485eb53980ae33c035dde9787552c7925756bf7e3ec",
        "matcher",
        "112x112 RGB 0..255, ArcFace five-point template",
        licence=_INSIGHTFACE,
        source="terryshyan/libovface, models/model-y1-0000",
    ),
    "mobilefacenet_ms1m_foamliu": _entry(
        "mobilefacenet_ms1m_foamliu.onnx",
        3_998_072,
        "19788ce481f1b004cbe9a8494cdcacbc1e434e28a106d32f0cc9ad1a04b19c20",
        "matcher",
        "112x112 RGB, ImageNet mean and deviation, ArcFace five-point template",
        licence="Apache-2.0",
        source="foamliu/MobileFaceNet, weights/MobileFaceNet.onnx",
    ),
    "mobilefacenet_casia_112x96": _entry(
        "mobilefacenet_casia_112x96.onnx",
        3_982_529,
        "c67cdcb9cc3491273025bcdda9897539726091cc23dbe244c50c33c06c740439",
        "matcher",
        "112 high x 96 wide RGB, (x - 127.5) / 128, SphereFace five-point template",
        licence=_NONE_STATED,
        source="Xiaoccer/MobileFaceNet_Pytorch, model/best/068.ckpt",
    ),
    "mobilefacenet_casia_112x96_differentiable": _entry(
        "mobilefacenet_casia_112x96.safetensors",
        4_102_072,
        "af0e568dfa2980f00f5c8e14dca70a54ac875df8b2970114dec78dbd69cc6916",
        "matcher, differentiable copy",
        "112 high x 96 wide RGB, (x - 127.5) / 128, SphereFace five-point template",
        licence=_NONE_STATED,
        source="Xiaoccer/MobileFaceNet_Pytorch, model/best/068.ckpt",
    ),
    "dlib_gender_v1": _entry(
        "dlib_gender_v1.onnx",
        526_922,
        "c8412fcf57387cc8c57bd097d9331b3dd270f25ee070a159d1d1abf0ae94338f",
        "gender",
        "32x32 RGB 0..255, " + _CELEBA.format("(34, 75, 144, 185)"),
        licence="CC0-1.0",
        source="davisking/dlib-models, gender-classifier/dnn_gender_classifier_v1.dat.bz2",
    ),
    "age_gender_retail_0013": _entry(
        "age_gender_retail_0013.onnx",
        2_551_557,
        "b5a12fe066c3e2a9b5f27f3facc5b80eeaa58e6a475293f9f32e7cca3f74bad5",
        "gender and age",
        "62x62 BGR 0..255, " + _CELEBA.format("(34, 75, 142, 184)"),
        licence=_INTEL,
        source=(
            "denilgabani/person-recognition-reidentification-age-gender-classification, "
            "intel/age-gender-recognition-retail-0013/FP16-INT8"
        ),
    ),
    "genderage_mobilenet_insightface": _entry(
        "genderage_mobilenet_insightface.onnx",
        1_098_159,
        "dc53138f14bef1d504e6c863b8e431be4c585ac72f18789f089ee4f01649e528",
        "gender and age",
        "112x112 RGB 0..255, ArcFace five-point template",
        licence=_INSIGHTFACE,
        source="deepinsight/insightface, gender-age/model/model-0000.params",
    ),
    "ssrnet_gender_imdb": _entry(
        "ssrnet_gender_imdb.onnx",
        174_421,
        "db14ef656196cd2933aedae6a23b50b40e5c2f5761e74e4f3e190e82f4653f54",
        "gender",
        "64x64 BGR stretched to 0..255, " + _CELEBA.format("(7, 50, 169, 214)"),
        licence="Apache-2.0",
        source="shamangary/SSR-Net, pre-trained/imdb_gender_models",
    ),
    "ssrnet_gender_wiki": _entry(
        "ssrnet_gender_wiki.onnx",
        174_421,
        "f4ddc50364967e06223a04624675a75d7e8dfe5971a2abb8261d4354f981facb",
        "gender",
        "64x64 BGR stretched to 0..255, " + _CELEBA.format("(7, 50, 169, 214)"),
        licence="Apache-2.0",
        source="shamangary/SSR-Net, pre-trained/wiki_gender_models",
    ),
    "ssrnet_age_imdb": _entry(
        "ssrnet_age_imdb.onnx",
        174_560,
        "0c2d4af6ba4806ebfcce3ba8976e89e38147e05101ac3213ac7485101cc5f6a9",
        "age",
        "64x64 BGR stretched to 0..255, " + _CELEBA.format("(7, 50, 169, 214)"),
        licence="Apache-2.0",
        source="shamangary/SSR-Net, pre-trained/imdb",
    ),
    "ssrnet_age_wiki": _entry(
        "ssrnet_age_wiki.onnx",
        174_560,
        "54f1ee318f3e34b5f350e3c09c83641cfc0ce019b124187efa42dfd951f17e8c",
        "age",
        "64x64 BGR stretched to 0..255, " + _CELEBA.format("(7, 50, 169, 214)"),
        licence="Apache-2.0",
        source="shamangary/SSR-Net, pre-trained/wiki",
    ),
    "gender_mini_xception_imdb": _entry(
        "gender_mini_xception_imdb.onnx",
        208_547,
        "a8a861988dba44e5f8bda8bb6243e7787db301e6b6e14e2417df85e04e9d0f3d",
        "gender",
        "64x64 grey, x / 127.5 - 1, " + _CELEBA.format("(23, 47, 153, 218)"),
        licence="MIT",
        source="oarriaga/face_classification, trained_models/gender_models/gender_mini_XCEPTION.21-0.95.hdf5",
    ),
    "emotion_mini_xception_fer2013": _entry(
        "emotion_mini_xception_fer2013.onnx",
        231_591,
        "1a7a40237aae18542ccdc06d09dc1defc9684c2afbbb10c4d3c36c1d7bf3ac9d",
        "expression",
        "64x64 grey, x / 127.5 - 1, " + _CELEBA.format("(43, 87, 133, 178)"),
        licence="MIT",
        source=(
            "oarriaga/face_classification, trained_models/emotion_models/fer2013_mini_XCEPTION.102-0.66.hdf5"
        ),
    ),
    "ultraface_rfb320": _entry(
        "ultraface_rfb320.onnx",
        1_270_727,
        "34cd7e60aeff28744c657de7a3dc64e872d506741de66987f3426f2b79f88017",
        "face detector",
        "320 wide x 240 high RGB, (x - 127) / 128, one whole image",
        licence="MIT",
        source="Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB, models/onnx/version-RFB-320.onnx",
        url=(
            _GITHUB
            + "Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB/master/models/onnx/version-RFB-320.onnx"
        ),
    ),
    "landmarks_regression_retail_0009": _entry(
        "landmarks_regression_retail_0009.onnx",
        765_515,
        "40cd3f0d2db647cae7c2c7ad07588dba38dca5da11e3f6bc7bebf2d8abfec276",
        "five landmarks",
        "48x48 BGR 0..255, detector box",
        licence="MIT (repository); Apache-2.0 (Intel Open Model Zoo)",
        source="terryshyan/libovface, models/landmarks-regression-retail-0009",
    ),
    "squeezenet1_1_features": _entry(
        "squeezenet1_1_features.safetensors",
        2_894_760,
        "196a1980e806a2c7c89b5b329eb877d978481bf648d900f6523500fe937b0e3f",
        "LPIPS backbone",
        "RGB of any size from 64 px, scaled by LPIPS itself",
        licence="BSD-2-Clause (repository); weights of torchvision, BSD-3-Clause",
        source="delldu/LPIPS, project/image_likeness/models/squeeze.backbone.pth",
    ),
    "niqe_modelparameters": _entry(
        "niqe_modelparameters.mat",
        8_347,
        "fa2aa4d12dd9595c3fb6bf8b4e1a15c79d5d1469238d0901c88dead195be578d",
        "NIQE parameters",
        "mean (1, 36) and covariance (36, 36) of pristine images' features, 96x96 blocks",
        licence="notice of UT Austin's LIVE: free to use, copy, modify and distribute with the notice kept",
        source="roimehrez/PIRM2018, utils/niqe_release/modelparameters.mat",
        url=_GITHUB + "roimehrez/PIRM2018/master/utils/niqe_release/modelparameters.mat",
    ),
    "alexnet_features": _entry(
        "alexnet_features.safetensors",
        0,
        "",
        "LPIPS backbone",
        "RGB of any size from 64 px, scaled by LPIPS itself",
        licence="BSD-3-Clause (torchvision)",
        source="torchvision's alexnet-owt-7be5be79.pth (the tensors named features.* only)",
    ),
    "vgg16_features": _entry(
        "vgg16_features.safetensors",
        0,
        "",
        "LPIPS backbone",
        "RGB of any size from 64 px, scaled by LPIPS itself",
        licence="BSD-3-Clause (torchvision); CC BY 4.0 (VGG, Oxford)",
        source="torchvision's vgg16-397923af.pth (the tensors named features.* only)",
    ),
    "inception_fid_2015": _entry(
        "inception_fid_2015.safetensors",
        0,
        "",
        "features of FID and KID",
        "299x299 RGB, (x - 128) / 128",
        licence="Apache-2.0 (TensorFlow; pytorch-fid)",
        source="mseitzer/pytorch-fid, release fid_weights, pt_inception-2015-12-05-6726825d.pth",
    ),
    "nrqm_model": _entry(
        "nrqm_model.mat",
        0,
        "",
        "NRQM parameters, for PI",
        "224x224 RGB, luma of MATLAB's YCbCr without a border of 4 px",
        licence="none stated (treat as research use)",
        source="chaoma99/sr-metric, model.mat as pyiqa publishes it under the name NRQM_model.mat",
    ),
    "san_autoencoder_e20": _entry(
        "san_autoencoder_e20.safetensors",
        1_297_936,
        "fb1769541d436a5f2a293f02a7796d1b0284aa96e0ef7b748b83a77c04fd74be",
        "privacy method: the SAN authors' autoencoder",
        "224x224 grey in [0, 1] joined with an RGB prototype in [0, 1]",
        licence="MIT",
        source="iPRoBe-lab/semi-adversarial-networks, model/conv-autoencoder-e20.pkl",
    ),
    "dlib_resnet": Entry(
        Pretrained(
            file="models/dlib_face_recognition_resnet_model_v1.dat",
            sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
            licence="CC0-1.0",
            source="davisking/dlib-models, in the package face_recognition_models 0.3.0",
            modules=("face_recognition_models", "dlib"),
            extra="dlib",
        ),
        22_466_066,
        "matcher",
        "150x150 RGB, dlib's face chip with a padding of .25",
    ),
    "dlib_landmarks_68": Entry(
        Pretrained(
            file="models/shape_predictor_68_face_landmarks.dat",
            sha256="fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
            licence="non-commercial use (trained on 300-W)",
            source="davisking/dlib-models, in the package face_recognition_models 0.3.0",
            modules=("face_recognition_models", "dlib"),
            extra="dlib",
        ),
        99_693_937,
        "68 landmarks",
        "RGB of any size, box of dlib's frontal face detector",
    ),
    "senet50_vggface2": _own(
        "senet50_vggface2",
        "224x224 BGR less the mean (91.4953, 103.8827, 131.0912), crop of VGGFace2",
        licence="non-commercial research (VGGFace2); MIT (port)",
        source="cydonia999/VGGFace2-pytorch, senet50_ft",
    ),
    "vgg_face": _own(
        "vgg_face",
        "224x224 RGB less the mean (129.1863, 104.7624, 93.5940), crop of VGGFace2",
        licence="CC BY-NC 4.0 (Visual Geometry Group)",
        source="vgg_face_dag, the PyTorch port of VGG-Face's MatConvNet release",
    ),
    "arcface_ir50": _own(
        "arcface_ir50",
        "112x112 RGB, (x - 127.5) / 127.5, ArcFace five-point template",
        licence="MIT (code); models for non-commercial research only",
        source="deepinsight/insightface, arcface_torch, iresnet50",
    ),
    "arcface_ir100": _own(
        "arcface_ir100",
        "112x112 RGB, (x - 127.5) / 127.5, ArcFace five-point template",
        licence="MIT (code); models for non-commercial research only",
        source="deepinsight/insightface, arcface_torch, iresnet100",
    ),
    "cosface_sphere20": _own(
        "cosface_sphere20",
        "112 high x 96 wide RGB, (x - 127.5) / 127.5, SphereFace five-point template",
        licence="none stated (treat as research use)",
        source="MuggleWang/CosFace_pytorch, sphere20",
    ),
    "facenet_vggface2": _own(
        "facenet_vggface2",
        "160x160 RGB, (x - 127.5) / 128, detector box with a margin of 32 px",
        licence="MIT (repositories)",
        source="timesler/facenet-pytorch, 20180402-114759-vggface2 (davidsandberg/facenet)",
    ),
    "openface_nn4_small2": _own(
        "openface_nn4_small2",
        "96x96 RGB in [0, 1], OpenFace template",
        licence="Apache-2.0 (cmusatyalab/openface)",
        source="thnkim/OpenFacePytorch, openface.pth (nn4.small2.v1)",
    ),
    "dr_gan": _own(
        "dr_gan",
        "96x96 BGR, (x - 127.5) / 127.5, centre of a face of 100 px",
        licence="none stated (treat as research use)",
        source="kayamin/DR-GAN, generator of single-image DR-GAN",
    ),
}
"""Known files by name; `Entry.pretrained` is what `WeightsFolder.path` takes."""
