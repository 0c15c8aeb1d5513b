#!/usr/bin/env python3
"""Writes what torchvision finds in picture.png with `../shared/golden/vision/maskrcnn_resnet18_fpn`, and a small U-Net with the
classes of the pixels.

things.json: boxes, labels, scores and, for masks above 0.5, what pycocotools writes. Tolerance:
scores 1e-4, boxes an IoU of 0.999, masks one of 0.99, as a pixel at 0.5 may fall to either side.
unet/: model.pth and config.json (pictures of 64×96); regions.json: for `softmax` each class's runs where its logit is largest,
for `sigmoid` where its probability is above 0.5, after Pillow's bicubic resize to the tensor and `interpolate` back to the
picture. Tolerance: IoU 0.99, as resizing rounds pixels to whole levels.
Made with torch 2.15.0, torchvision 0.29.2, Pillow and pycocotools 2.0.11; run with tests/peers in PYTHONPATH.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
import regions
import torch
from PIL import Image
from pycocotools import mask as coco
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.resnet import BasicBlock

HERE = Path(__file__).parent


def rle(mask: torch.Tensor) -> str:
    return coco.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))["counts"].decode()


def mask_rcnn(folder: Path) -> nn.Module:
    config = json.loads((folder / "config.json").read_text())
    body = regions.Trunk(BasicBlock, [2, 2, 2, 2], 16, nn.BatchNorm2d)
    backbone = BackboneWithFPN(body, {f"layer{i + 1}": str(i) for i in range(4)}, [16, 32, 64, 128], 32)
    keys = ("min_size", "max_size", "box_score_thresh", "box_detections_per_img")
    model = MaskRCNN(
        backbone,
        box_head=TwoMLPHead(32 * 49, 32),
        box_predictor=FastRCNNPredictor(32, config["num_classes"]),
        mask_head=MaskRCNNHeads(32, (32,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(32, 32, config["num_classes"]),
        **{key: config[key] for key in keys},
    )
    weights = torch.load(folder / "model.pth")
    model.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in weights.items()})
    return model.eval()


@torch.inference_mode()
def main() -> None:
    model = mask_rcnn(Path(sys.argv[1]))
    image = (regions.picture((90, 120), torch.Generator().manual_seed(0)) * 255).round().byte()
    found = model([image.float() / 255])[0]
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(HERE / "picture.png")
    things = {name: found[name].tolist() for name in ("boxes", "labels", "scores")}
    things["masks"] = [rle(mask[0] > 0.5) for mask in found["masks"]]
    (HERE / "things.json").write_text(json.dumps(things) + "\n")

    torch.manual_seed(0)
    unet = regions.UNet("milesial", 3, 3, 4, 2, False, True).eval()
    regions.shake(unet, random.Random(0))
    (HERE / "unet").mkdir(exist_ok=True)
    torch.save(unet.named_as_style(), HERE / "unet" / "model.pth")
    (HERE / "unet" / "config.json").write_text(json.dumps({"image_size": [64, 96]}) + "\n")
    small = Image.open(HERE / "picture.png").resize((96, 64), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(small)).permute(2, 0, 1)[None].float() / 255
    logits = nn.functional.interpolate(unet(pixels), (90, 120), mode="bilinear")[0]
    best, chance = logits.argmax(0), logits.sigmoid()
    classes = range(len(logits))
    answer = {"softmax": [rle(best == c) for c in classes], "sigmoid": [rle(chance[c] > 0.5) for c in classes]}
    (HERE / "regions.json").write_text(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
