#!/usr/bin/env python3
"""YOLOX with Python: onnxruntime, OpenCV and numpy, as lean as Python gets without losing a box.

Prints one JSON line: boxes of the images, time to the first answer, p50/p95 of prepare, run and decode, peak memory.
With --coco it evaluates a folder instead (score 0.001, IoU 0.65, at most 100 boxes an image) and prints mAP.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import that reads it

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

import measure

FILL = 114
STRIDES = (8, 16, 32)


class Detector:
    def __init__(self, model: Path, threads: int, score: float, iou: float, limit: int, multi_label: bool) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        graph_input = self.session.get_inputs()[0]
        self.name = graph_input.name
        self.height, self.width = graph_input.shape[2:]
        self.score, self.iou, self.limit, self.multi_label = score, iou, limit, multi_label
        cells = []
        for stride in STRIDES:
            y, x = np.mgrid[: self.height // stride, : self.width // stride]
            cells.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], 1))
        self.grid = np.concatenate(cells).astype(np.float32)  # (anchors, x y stride)
        self.pixels = np.full((1, 3, self.height, self.width), FILL, np.float32)
        self.filled = (0, 0)

    def prepare(self, image: np.ndarray) -> float:
        """Writes BGR u8 HWC into the model's tensor, top left, and returns the scale."""
        scale = min(self.height / image.shape[0], self.width / image.shape[1])
        height, width = int(image.shape[0] * scale), int(image.shape[1] * scale)
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        if (height, width) != self.filled:
            self.pixels.fill(FILL)
            self.filled = (height, width)
        for channel, plane in enumerate(cv2.split(resized)):
            self.pixels[0, channel, :height, :width] = plane
        return scale

    def run(self) -> np.ndarray:
        return self.session.run(None, {self.name: self.pixels})[0][0]

    def decode(self, raw: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(anchors, 4 + 1 + classes) -> boxes x1 y1 x2 y2 in pixels of the image, scores, classes; best first."""
        # A class score is at most 1, so an anchor whose objectness is too low never gives a box.
        keep = np.flatnonzero(raw[:, 4] >= self.score)
        raw, grid = raw[keep], self.grid[keep]
        scores = raw[:, 5:] * raw[:, 4:5]
        if self.multi_label:
            anchors, classes = np.nonzero(scores >= self.score)
            scores = scores[anchors, classes]
        else:
            classes = scores.argmax(1) if len(scores) else np.empty(0, np.int64)
            scores = scores[np.arange(len(classes)), classes]
            anchors = np.flatnonzero(scores >= self.score)
            classes, scores = classes[anchors], scores[anchors]
        raw, grid = raw[anchors], grid[anchors]
        factor = grid[:, 2:] / scale
        size = np.exp(raw[:, 2:4]) * factor
        corner = (raw[:, :2] + grid[:, :2]) * factor - size / 2
        boxes = np.concatenate([corner, size], 1)
        if len(boxes):
            kept = np.asarray(cv2.dnn.NMSBoxesBatched(boxes, scores, classes.astype(np.int32), 0.0, self.iou), np.int64)
            kept = kept[np.argsort(-scores[kept], kind="stable")][: self.limit]
            boxes, scores, classes = boxes[kept], scores[kept], classes[kept]
        boxes[:, 2:] += boxes[:, :2]
        return boxes, scores, classes


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    if image is None:
        sys.exit(f"{path}: not a picture that OpenCV reads")
    return image


def evaluate(detector: Detector, folder: Path, output: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(folder / "instances.json"))
    categories = sorted(truth.getCatIds())
    results = []
    for image_id in truth.getImgIds():
        image = read(folder / "images" / truth.loadImgs(image_id)[0]["file_name"])
        scale = detector.prepare(image)
        for box, score, index in zip(*detector.decode(detector.run(), scale)):
            x1, y1, x2, y2 = map(float, box)
            results.append(
                {
                    "image_id": image_id,
                    "category_id": categories[int(index)],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(score),
                }
            )
    output.write_text(json.dumps(results))
    judge = COCOeval(truth, truth.loadRes(str(output)), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    scores = {"map": round(judge.stats[0], 4), "map50": round(judge.stats[1], 4)}
    print(json.dumps({"images": len(truth.getImgIds()), "boxes": len(results)} | scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, nargs="*")
    parser.add_argument("--repeat", type=int, default=1, help="passes over the images; the first is not in the percentiles")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--score", type=float, default=0.3)
    parser.add_argument("--iou", type=float, default=0.45)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--best-class", action="store_true", help="an anchor gives at most one box, of its best class")
    parser.add_argument("--coco", type=Path, help="folder with images/ and instances.json")
    parser.add_argument("--out", type=Path, default=Path("results.json"), help="COCO results of --coco")
    args = parser.parse_args()
    if args.coco:
        args.score, args.iou, args.limit = 0.001, 0.65, 100
    cv2.setNumThreads(args.threads)

    detector = Detector(args.model, args.threads, args.score, args.iou, args.limit, not args.best_class)
    if args.coco:
        evaluate(detector, args.coco, args.out)
        return
    if not args.images:
        parser.error("give an image or --coco")

    spent: dict[str, list[float]] = {"prepare": [], "run": [], "decode": []}
    answers, first_ms, images = [], 0.0, []
    for path in args.images:
        image = read(path)
        scale = detector.prepare(image)
        boxes, scores, classes = detector.decode(detector.run(), scale)
        first_ms = first_ms or measure.since_exec_ms()
        answers.append(
            {
                "input": str(path),
                "boxes": [
                    {"index": int(index), "score": round(float(score), 5), "box": [round(float(v), 2) for v in box]}
                    for box, score, index in zip(boxes, scores, classes)
                ],
            }
        )
        if args.repeat > 1:
            images.append(image)
    for _ in range(args.repeat - 1):
        for image in images:
            start = time.perf_counter()
            scale = detector.prepare(image)
            prepared = time.perf_counter()
            raw = detector.run()
            ran = time.perf_counter()
            detector.decode(raw, scale)
            end = time.perf_counter()
            for stage, seconds in zip(spent, (prepared - start, ran - prepared, end - ran)):
                spent[stage].append(seconds)

    peak = measure.peak_memory_mib()
    line = {"first_answer_ms": round(first_ms, 1), "peak_memory_mib": round(peak, 1), "answers": answers}
    line |= {stage: measure.percentiles(seconds) for stage, seconds in spent.items() if seconds}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
