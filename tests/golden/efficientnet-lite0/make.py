#!/usr/bin/env python3
"""Writes top1.json and logits.safetensors: EfficientNet-Lite0 in fp32 PyTorch over vision/imagenet-sample.

top1.json: the preparation, its counts, and file name -> predicted class index. logits.safetensors: for three of the images
`logits.{file name}` f32 (1000). Preparation: short side to 256 by Pillow BICUBIC (long side truncated), middle 224 x 224,
RGB, (x - 127) / 128. Made with torch 2.15.0 and pillow 13.0.0. Tolerance: top-1 exact, logits close, given the same pixels.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "peers"))

import efficientnet  # noqa: E402  the peer script is the reference

WITH_LOGITS = ("000_tench.jpg", "340_zebra.jpg", "920_traffic-light.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--source", type=Path, help="folder that holds the package efficientnet_lite_pytorch")
    parser.add_argument("--weights", type=Path, help="the .pth file")
    args = parser.parse_args()

    paths = efficientnet.pictures(args.images)
    scores = efficientnet.logits(efficientnet.load(args.source, args.weights), paths, efficientnet.REFERENCE)
    truth = torch.tensor([int(path.name[:3]) for path in paths])
    top1, top5 = efficientnet.counts(scores, truth)
    answer = {
        "preparation": efficientnet.REFERENCE,
        "images": len(paths),
        "top1": top1,
        "top5": top5,
        "predictions": {path.name: int(index) for path, index in zip(paths, scores.argmax(1))},
    }
    (HERE / "top1.json").write_text(json.dumps(answer, indent=1) + "\n")
    chosen = {f"logits.{path.name}": row.clone() for path, row in zip(paths, scores) if path.name in WITH_LOGITS}
    save_file(chosen, HERE / "logits.safetensors")


if __name__ == "__main__":
    main()
