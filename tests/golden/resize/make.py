#!/usr/bin/env python3
"""Writes opencv.safetensors and pillow.safetensors: two noise images and what the two libraries resize them to.

Keys: `source.{W}x{H}` and `{nearest|bilinear|bicubic}.{W}x{H}.to.{w}x{h}`, all u8 H x W x 3. `bilinear` of OpenCV is INTER_LINEAR,
which does not antialias; Pillow's filters do. Made with opencv-python-headless 5.0.0.93 and pillow 13.0.0. Tolerance: exact.
"""

from pathlib import Path

import cv2
import numpy as np
import PIL
from PIL import Image
from safetensors.numpy import save_file

HERE = Path(__file__).parent
# up, down, mixed, one axis only, exactly half (OpenCV has a second formula there), the same size, one pixel
SIZES = {
    (37, 23): [(64, 64), (20, 11), (37, 40), (9, 23), (12, 41), (37, 23), (1, 1)],
    (120, 80): [(64, 64), (60, 40), (96, 54), (30, 20), (80, 53), (13, 90)],
}


def main() -> None:
    rng = np.random.default_rng(20)
    opencv: dict[str, np.ndarray] = {}
    pillow: dict[str, np.ndarray] = {}
    for (width, height), targets in SIZES.items():
        source = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        opencv[f"source.{width}x{height}"] = pillow[f"source.{width}x{height}"] = source
        for target in targets:
            name = f"{width}x{height}.to.{target[0]}x{target[1]}"
            opencv[f"bilinear.{name}"] = cv2.resize(source, target, interpolation=cv2.INTER_LINEAR)
            for kernel in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
                resized = Image.fromarray(source).resize(target, kernel)
                pillow[f"{kernel.name.lower()}.{name}"] = np.ascontiguousarray(resized)
    save_file(opencv, HERE / "opencv.safetensors", {"opencv": cv2.__version__})
    save_file(pillow, HERE / "pillow.safetensors", {"pillow": PIL.__version__})


if __name__ == "__main__":
    main()
