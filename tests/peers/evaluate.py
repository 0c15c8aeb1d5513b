"""mAP of boxes and masks by pycocotools, beside what `bevel eval` says of the same answers.

    evaluate.py check BEVEL MODEL DATASET [ARGUMENT…]   differences of every figure; exits 1 above 1e-4
    evaluate.py truths BEVEL MODEL PICTURES OUT         a dataset whose truth is the model's answers, shaken

For models with random weights nothing in a real dataset is right, so `truths` makes one from what the model answers:
some things moved, some eroded, some left out, some a crowd.
"""

import argparse
import contextlib
import io
import json
import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

EVERYTHING = ["--min-score", "0.001", "--max-boxes", "100"]


def bevel(*arguments: str) -> list[dict]:
    out = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def detections(lines: list[dict], ids: dict[str, int], categories: dict[str, int]) -> list[dict]:
    found = []
    for line in lines:
        image = ids.get(pathlib.Path(line["input"]).name)
        for one in line["boxes"] if image is not None else []:
            x1, y1, x2, y2 = one["box"]
            result = {"image_id": image, "category_id": categories[one["label"]], "score": one["score"]}
            result["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            if "mask" in one:
                result["segmentation"] = one["mask"]
            found.append(result)
    return found


def pycocotools(truth: COCO, found: list[dict], kind: str) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        # With a mask, boxes are those that were answered and not those around masks.
        plain = [{k: v for k, v in one.items() if kind == "segm" or k != "segmentation"} for one in found]
        if kind == "segm":
            plain = [{k: v for k, v in one.items() if k != "bbox"} for one in plain]
        evaluation = COCOeval(truth, truth.loadRes(plain), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = dict(zip(["mAP50-95", "mAP50", "mAP75"], evaluation.stats[:3], strict=True))
    figures["AR100"] = evaluation.stats[8]
    precision = evaluation.eval["precision"][..., 0, -1]
    for at, category in enumerate(evaluation.params.catIds):
        if (precision[:, :, at] > -1).any():
            figures[f"AP {truth.cats[category]['name']}"] = precision[:, :, at].mean()
    return figures


def check(args: argparse.Namespace) -> None:
    folder = pathlib.Path(args.dataset)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "instances.json"))
    ids = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
    categories = {category["name"]: category["id"] for category in truth.dataset["categories"]}
    lines = bevel(args.bevel, "run", args.model, str(folder / "images"), "--json", *EVERYTHING, *args.rest)
    (said,) = bevel(args.bevel, "eval", args.model, str(folder), "--json", *args.rest)
    ours = {figure["name"]: figure["value"] for figure in said["metrics"]}
    found = detections(lines, ids, categories)
    main = "segm" if any("segmentation" in one for one in found) else "bbox"
    theirs = pycocotools(truth, found, main)
    ours |= {f"AP {c['label']}": c["values"]["AP50-95"] for c in said["classes"]}
    if main == "segm":
        theirs |= {f"box {k}": v for k, v in pycocotools(truth, found, "bbox").items() if not k.startswith("AP ")}
    worst = 0.0
    for name, value in theirs.items():
        difference = abs(ours[name] - value)
        worst = max(worst, difference)
        if not name.startswith("AP "):
            print(f"{name:14} bevel {ours[name]:.6f}  pycocotools {value:.6f}  {difference:.1e}")
    print(f"{len(found)} things found, {len(theirs)} figures, largest difference {worst:.1e}")
    sys.exit(worst > 1e-4 or set(ours) != set(theirs))


def truths(args: argparse.Namespace) -> None:
    draw = random.Random(5)
    out = pathlib.Path(args.out)
    (out / "images").mkdir(parents=True, exist_ok=True)
    lines = bevel(args.bevel, "run", args.model, args.pictures, "--json", "--max-boxes", "60", *args.rest)
    dataset = {"images": [], "annotations": [], "categories": []}
    names = {}
    for line in lines:
        path = pathlib.Path(line["input"])
        shutil.copy(path, out / "images" / path.name)
        height, width = line["height"], line["width"]
        image = len(dataset["images"]) + 1
        dataset["images"].append({"id": image, "file_name": path.name, "width": width, "height": height})
        for one in line["boxes"]:
            names.setdefault(one["label"], one["index"])
            if draw.random() < 0.4:
                continue
            shift = np.array([draw.gauss(0, 0.04) for _ in range(4)])
            x1, y1, x2, y2 = one["box"]
            x1, y1, x2, y2 = np.array([x1, y1, x2, y2]) + shift * np.array([x2 - x1, y2 - y1] * 2)
            mask = masks.decode(one["mask"])
            mask = np.roll(mask, draw.randint(-3, 3), axis=draw.randint(0, 1))
            if mask.sum() == 0 or x2 <= x1 or y2 <= y1:
                continue
            rle = masks.encode(np.asfortranarray(mask))
            rle["counts"] = rle["counts"].decode()
            dataset["annotations"].append({
                "id": len(dataset["annotations"]) + 1,
                "image_id": image,
                "category_id": one["index"] + 1,
                "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                "area": float(mask.sum()),
                "iscrowd": int(draw.random() < 0.05),
                "segmentation": rle,
            })
    dataset["categories"] = [{"id": index + 1, "name": name} for name, index in names.items()]
    (out / "instances.json").write_text(json.dumps(dataset))
    print(f"{len(dataset['images'])} pictures, {len(dataset['annotations'])} things of {len(names)} classes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, what, places in [("check", check, ["dataset"]), ("truths", truths, ["pictures", "out"])]:
        command = commands.add_parser(name)
        for place in ["bevel", "model", *places]:
            command.add_argument(place)
        command.set_defaults(what=what)
    args, rest = parser.parse_known_args()
    args.rest = rest
    args.what(args)


if __name__ == "__main__":
    main()
