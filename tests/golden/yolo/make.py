#!/usr/bin/env python3
"""Makes the checkpoints, the picture and `expected.json` beside this file: small models of every task with random weights, and
what `predict` of ultralytics finds with them. Run with the folder of coco-mini's images.

    python make.py ../../../../shared/data/vision/coco-mini/images

The picture is cut so that the letterbox moves and does not scale it: decoders of pictures differ by a level, and this is about
everything behind them. Made with ultralytics 8.4.190 and torch 2.15.0; masks
with `retina_masks`. The models are of our own making, so nothing of ultralytics' is in the files but class names.
"""

import json
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "peers"))

from ultralytics import YOLO  # noqa: E402
from yolo_cases import TASKS, alive  # noqa: E402

SIDE = 160
NAMES = ["cat", "dog", "owl"]
# Predictions above the threshold.
CANDIDATES = 40
SOURCE = "000000022192.jpg"
# Two maps, two bottlenecks, attention: every kind of block once and small.
LAYERS = {
    "backbone": [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "C2f", [16, True]],
        [-1, 1, "Conv", [24, 3, 2]],
        [-1, 1, "C3k2", [24, False, 0.25]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "SPPF", [32, 5]],
        [-1, 1, "C2PSA", [32]],
    ],
    "head": [
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 1, "C3k2", [24, False]],
    ],
}
HEADS = {
    "detect": ("", ["Detect", ["nc"]]),
    "segment": ("-seg", ["Segment", ["nc", 8, 16]]),
    "pose": ("-pose", ["Pose", ["nc", [4, 3]]]),
    "obb": ("-obb", ["OBB", ["nc", 1]]),
    "classify": ("-cls", ["Classify", ["nc"]]),
}


@torch.no_grad()
def lively(made: torch.nn.Module, pixels: torch.Tensor) -> None:
    """Shifts the scores so that some of them are above the threshold."""
    for part in made.model[-1].cv3:
        part[-1].weight.mul_(6.0)
        part[-1].bias.mul_(0.3)
    scores = made(pixels)[1]["scores"].amax(1).flatten()
    least = scores.sort(descending=True).values[CANDIDATES - 1 : CANDIDATES + 1].mean()
    for part in made.model[-1].cv3:
        part[-1].bias.add_(torch.tensor(0.25).logit() - least)


def model(task: str, seed: int, pixels: torch.Tensor) -> torch.nn.Module:
    kind, (head, arguments) = HEADS[task]
    last = [-1 if task == "classify" else [10, 7], 1, head, arguments]
    layers = {"nc": len(NAMES), "reg_max": 8, "kpt_shape": [4, 3], **deepcopy(LAYERS)}
    layers["head"].append(last)
    torch.manual_seed(seed)
    made = TASKS[kind](layers, ch=3, nc=len(NAMES), verbose=False).eval()
    made.names = dict(enumerate(NAMES))
    generator = torch.Generator().manual_seed(seed)
    alive(made, made.predict, (SIDE, SIDE), generator)
    if task != "classify":
        lively(made, pixels)
    return made


def save(made: torch.nn.Module, task: str) -> Path:
    path = HERE / f"{task}.pt"
    arguments = {"imgsz": SIDE, "task": task}
    torch.save({"epoch": -1, "model": deepcopy(made).half(), "ema": None, "train_args": arguments}, path)
    return path


def counts(mask: np.ndarray) -> list[int]:
    """Runs out and in by turns, down the columns, as COCO counts."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [flat[-1] ^ 1]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


def predict(path: Path, picture: np.ndarray, task: str) -> dict:
    pixels = np.ascontiguousarray(picture[:, :, ::-1])  # as OpenCV reads
    (found,) = YOLO(path).predict(pixels, imgsz=SIDE, rect=False, retina_masks=True, verbose=False, device="cpu", half=False)
    plain = lambda tensor: tensor.double().tolist()
    if task == "classify":
        return {"scores": plain(found.probs.data)}
    boxes = found.obb if task == "obb" else found.boxes
    answer = {"classes": [int(c) for c in boxes.cls], "scores": plain(boxes.conf)}
    if task == "obb":
        return answer | {"corners": plain(boxes.xyxyxyxy)}
    answer["boxes"] = plain(boxes.xyxy)
    if task == "segment":
        answer["counts"] = [counts(mask.astype(np.uint8)) for mask in found.masks.data.numpy()]
    if task == "pose":
        answer["keypoints"] = plain(found.keypoints.data)
    return answer


def main() -> None:
    whole = Image.open(Path(sys.argv[1]) / SOURCE).convert("RGB")
    picture = whole.resize((240, 180), Image.Resampling.LANCZOS).crop((40, 30, 40 + SIDE, 30 + 120))
    picture.save(HERE / "picture.png")
    expected = {}
    around = (SIDE - picture.height) // 2
    pixels = np.pad(np.asarray(picture), ((around, around), (0, 0), (0, 0)), constant_values=114)
    pixels = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    for seed, task in enumerate(HEADS, 5):
        path = save(model(task, seed, pixels), task)
        expected[task] = predict(path, np.asarray(picture), task)
    for name, found in expected.items():
        print(name, len(found["scores"]), found["scores"][:3])
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
