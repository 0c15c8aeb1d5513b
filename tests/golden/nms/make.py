#!/usr/bin/env python3
"""Writes nms.safetensors: 200 random cases for non-maximum suppression with torchvision.ops.nms as the judge.

The cases lie one after the other. Case i has counts[i] boxes and uses iou[i]:
  boxes f32 (sum of counts, 4) x1 y1 x2 y2, scores f32, classes i64, counts i64 (200), iou f32 (200);
  keep i64 and keep_counts i64 (200): indices within the case, best first, classes ignored;
  classwise i64 and classwise_counts i64 (200): the same with suppression only inside a class.
A box is dropped when its IoU with a kept one is greater than (not equal to) the threshold; equal scores keep their order.
Among the cases: no box at all, one box, duplicates, boxes of no area, touching boxes, equal scores, IoU exactly on the
threshold. No IoU comes closer than 1e-4 to its threshold without being on it, so that the order of the arithmetic is free.
Made with torch 2.15.0 and torchvision 0.29.2. Tolerance: exact.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.ops import box_iou, nms

CASES = 200
THRESHOLDS = (0.25, 0.45, 0.5, 0.65, 0.7)


def boxes_of(kind: int, count: int, generator: torch.Generator) -> torch.Tensor:
    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    if kind == 0:  # spread over a picture
        corner = uniform(count, 2) * 380
        return torch.cat([corner, corner + 4 + uniform(count, 2) * 120], 1)
    if kind == 1:  # jittered around few objects, as a detector's are
        objects = uniform(max(1, count // 8), 4) * torch.tensor([300.0, 300.0, 90.0, 90.0])
        chosen = objects[torch.randint(len(objects), (count,), generator=generator)]
        corner = chosen[:, :2] + uniform(count, 2) * 16
        return torch.cat([corner, corner + 12 + chosen[:, 2:] + uniform(count, 2) * 16], 1)
    # small integers: exact areas, duplicates, touching edges, boxes of no area, and IoU exactly 0.25 or 0.5
    corner = torch.randint(0, 6, (count, 2), generator=generator)
    size = torch.randint(0, 5, (count, 2), generator=generator)
    return torch.cat([corner, corner + size], 1).float()


def close_call(boxes: torch.Tensor, iou: float) -> bool:
    gap = (box_iou(boxes.double(), boxes.double()) - iou).abs()
    return bool(((gap < 1e-4) & (gap > 0)).any())


def classwise(boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, iou: float) -> torch.Tensor:
    kept = torch.zeros(len(boxes), dtype=torch.bool)
    for label in classes.unique():
        of_class = (classes == label).nonzero().flatten()
        kept[of_class[nms(boxes[of_class], scores[of_class], iou)]] = True
    kept = kept.nonzero().flatten()
    return kept[scores[kept].argsort(descending=True, stable=True)]


def main() -> None:
    generator = torch.Generator().manual_seed(20)
    parts: dict[str, list[torch.Tensor]] = {key: [] for key in ("boxes", "scores", "classes", "keep", "classwise")}
    counts, ious, keep_counts, classwise_counts = [], [], [], []
    for case in range(CASES):
        kind = case % 3
        iou = THRESHOLDS[case % len(THRESHOLDS)]
        count = case if case < 3 else int(torch.randint(3, 40, (1,), generator=generator))
        if kind == 2 and iou not in (0.25, 0.5):
            iou = 0.5  # thresholds that f32 holds exactly
        while close_call(boxes := boxes_of(kind, count, generator), iou):
            pass
        scores = torch.rand(count, generator=generator)
        if case % 4 == 0:
            scores = (scores * 8).floor() / 8  # many equal scores
        classes = torch.randint(0, 3, (count,), generator=generator)
        keep = nms(boxes, scores, iou)
        per_class = classwise(boxes, scores, classes, iou)
        for key, value in zip(parts, (boxes, scores, classes, keep, per_class)):
            parts[key].append(value)
        counts.append(count)
        ious.append(iou)
        keep_counts.append(len(keep))
        classwise_counts.append(len(per_class))
    tensors = {key: torch.cat(values).contiguous() for key, values in parts.items()}
    tensors |= {
        "counts": torch.tensor(counts),
        "iou": torch.tensor(ious, dtype=torch.float32),
        "keep_counts": torch.tensor(keep_counts),
        "classwise_counts": torch.tensor(classwise_counts),
    }
    save_file(tensors, Path(__file__).parent / "nms.safetensors")


if __name__ == "__main__":
    main()
