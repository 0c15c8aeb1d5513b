#!/usr/bin/env python3
"""Writes masks.safetensors: 40 soft masks pasted into pictures by torchvision, and what pycocotools writes for them.

The cases lie one after the other. Case i has a mask of sides[i] cells over boxes[i] in a picture of sizes[i]:
  sides i64 (40), masks f32 (sum of squared sides), boxes f32 (40, 4) x1 y1 x2 y2, sizes i64 (40, 2) height and width;
  pasted f32 (sum of areas): `paste_masks_in_image`;
  rle u8 and rle_lengths i64 (40): `counts` of `pycocotools.mask.encode` for pasted > 0.5, as ASCII.
Among the boxes: inside, over every edge, on a corner, thinner than a pixel, larger than the picture. No value is within
1e-4 of 0.5, so that the order of the arithmetic is free.
Made with torch 2.15.0, torchvision 0.29.2, pycocotools 2.0.11. Tolerance: 1e-5 pasted, exact RLE.
"""

from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as coco
from safetensors.torch import save_file
from torchvision.models.detection.roi_heads import paste_masks_in_image

CASES = 40


def case(number: int, generator: torch.Generator) -> tuple:
    uniform = lambda *shape: torch.rand(*shape, generator=generator)
    while True:
        side = [28, 14, 28, 5, 1][number % 5]
        height, width = (int(n) for n in torch.randint(8, 48, (2,), generator=generator))
        edge = torch.tensor([width, height], dtype=torch.float32)
        kind = number % 4
        middle = uniform(2) * edge if kind != 3 else uniform(2).round() * edge
        half = uniform(2) * edge * [0.3, 0.6, 1.5, 0.4][kind] * (1 if number % 7 else 0.01)
        box = torch.cat([middle - half, middle + half])
        mask = torch.sigmoid(torch.nn.functional.interpolate((uniform(1, 1, 4, 4) - 0.5) * 12, (side, side), mode="bicubic"))
        pasted = paste_masks_in_image(mask, box[None], (height, width))[0, 0]
        if ((pasted - 0.5).abs() > 1e-4).all():
            return side, mask, box, (height, width), pasted


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    sides, masks, boxes, sizes, pasted = zip(*(case(number, generator) for number in range(CASES)))
    texts = [coco.encode(np.asfortranarray((one > 0.5).numpy().astype(np.uint8)))["counts"] for one in pasted]
    tensors = {
        "sides": torch.tensor(sides),
        "masks": torch.cat([mask.flatten() for mask in masks]),
        "boxes": torch.stack(boxes),
        "sizes": torch.tensor(sizes),
        "pasted": torch.cat([one.flatten() for one in pasted]),
        "rle": torch.tensor(list(b"".join(texts)), dtype=torch.uint8),
        "rle_lengths": torch.tensor([len(text) for text in texts]),
    }
    save_file(tensors, Path(__file__).with_name("masks.safetensors"))


if __name__ == "__main__":
    main()
