#!/usr/bin/env python3
"""Writes a small ResNet with random weights, and what torchvision says that pictures show: checkpoint/, top5.json.

    make.py COCO_MINI      the folder coco-mini of ../shared/data/vision

Four blocks of an eighth of the usual width; prepared as torchvision prepares for its own ResNet-18 (`IMAGENET1K_V1`); weights
stored in fp16 and computed with in fp32. Made with torch 2.15.0, torchvision 0.29.0, pillow 12. Tolerance of a score: 1e-3.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from torchvision.models import ResNet18_Weights, resnet

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests/peers"))

from exports import shake
from vision_cases import Slim

LABELS = "apple bread cup door egg fork glass house iron jar kettle lamp".split()


@torch.inference_mode()
def main() -> None:
    coco = Path(sys.argv[1])
    prepare = ResNet18_Weights.IMAGENET1K_V1.transforms()
    # Full colours in every pixel: how coarser ones are spread is up to the decoder.
    whole = lambda path: all(part[1:3] == (1, 1) for part in Image.open(path).layer)
    pictures = [path for path in sorted(coco.glob("images/*.jpg")) if whole(path)][:5]
    pixels = {path.name: prepare(Image.open(path).convert("RGB"))[None] for path in pictures}

    model = Slim(resnet.BasicBlock, [1, 1, 1, 1])
    model.fc = torch.nn.Linear(64, len(LABELS))
    shake(model, seed=4)
    # A random network has the same opinion of every picture: what they have in common is taken away.
    logits = torch.cat([model(picture) for picture in pixels.values()])
    factor = 0.5 / logits.std(0).mean()
    model.fc.weight.mul_(factor)
    model.fc.bias.copy_((model.fc.bias - logits.mean(0)) * factor)
    model.half().float()
    folder = HERE / "checkpoint"
    folder.mkdir(exist_ok=True)
    torch.save({name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}, folder / "model.pth")
    config = {"architecture": "resnet18", "library": "torchvision", "classes": LABELS}
    (folder / "config.json").write_text(json.dumps(config) + "\n")

    answers = {}
    for name, picture in pixels.items():
        best = model(picture).softmax(1)[0].topk(5)
        answers[name] = [{"label": LABELS[i], "index": i, "score": score} for i, score in zip(best.indices.tolist(), best.values.tolist())]
        print(name, [(answer["label"], round(answer["score"], 4)) for answer in answers[name]])
    (HERE / "top5.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
