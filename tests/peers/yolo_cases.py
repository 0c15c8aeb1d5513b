#!/usr/bin/env python3
"""Random checkpoints of ultralytics' models, every version, scale and task, with what ultralytics answers on them, and the check
of what Bevel converts them to. Works as `cases.py` does.

Scales and tasks of a family are gone through in turn, small ones first. Statistics of batch norms, number and names of classes,
keypoints, size of pictures and the form of the checkpoint are drawn by lot. ultralytics is under the AGPL: it is run as the
reference, and no part of it is here.

The family `yolox` is Megvii's: its code has to be on PYTHONPATH (`pip download --no-deps yolox==0.3.0`, unpacked, with loguru and
tabulate). Its first case is the YOLOX-nano that `bevel models pull` brings, as a state dict: the file is `YOLOX_NANO`, and the
answers are the makers' ONNX's own.
"""

import itertools
import os
import random
import sys
from copy import deepcopy
from pathlib import Path

import cases
import torch
from cases import write_io
from ultralytics.nn import tasks
from ultralytics.utils import LOGGER

LOGGER.setLevel("ERROR")
TASKS = {
    "": tasks.DetectionModel,
    "-seg": tasks.SegmentationModel,
    "-pose": tasks.PoseModel,
    "-obb": tasks.OBBModel,
    "-cls": tasks.ClassificationModel,
}
# Name of the configuration with its scale, scales, tasks. YOLOv3-tiny is left out: it pads with zeros before a MaxPool, which
# onnxruntime 1.28 joins as if the pool's own border were zeros.
VERSIONS = {
    "yolov8": ("yolov8{}", "nsmlx", [*TASKS]),
    "yolo11": ("yolo11{}", "nsmlx", [*TASKS]),
    "yolov3": ("yolov3{}", ["", "-spp"], [""]),
    "yolov5": ("yolov5{}", ["n", "s", "m", "l", "n-p6"], [""]),
    "yolov6": ("yolov6{}", "ns", [""]),
    "yolov8x": ("yolov8{}", ["n-p2", "n-p6", "n-ghost", "s-ghost-p6", "n-pose-p6", "n-seg-p6", "-cls-resnet50"], [""]),
    "yolov9": ("yolov9{}", "tsmc", [""]),
    "yolov10": ("yolov10{}", "nsmblx", [""]),
    "yolo12": ("yolo12{}", "nsmlx", [*TASKS]),
    "yolo26": ("yolo26{}", "nsmlx", [*TASKS]),
}
FORMS = ["half", "half", "full", "training", "bare", "fused"]
COUNTS = {name: 0 for name in VERSIONS}


def configuration(family: str) -> tuple[str, str]:
    """The next configuration of a family, and its task."""
    name, scales, kinds = VERSIONS[family]
    turns = [(scale, kind) for scale in scales for kind in kinds]
    scale, kind = turns[COUNTS[family] % len(turns)]
    COUNTS[family] += 1
    for named in TASKS:
        if named and f"{named}-" in f"{scale}-":
            return f"{name.format(scale)}.yaml", named
    return f"{name.format(scale)}{kind}.yaml", kind


def pictures(count: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Blots of colour, large and small: noise alone looks the same everywhere to the deeper layers."""
    pixels = torch.zeros(count, 3, *size)
    for side in (2, 5, 13, 40):
        blots = torch.randn(count, 3, side, side, generator=generator)
        pixels += torch.nn.functional.interpolate(blots, size, mode="bilinear")
    return pixels.sigmoid()


def alive(model: torch.nn.Module, forward, size: tuple[int, int], generator: torch.Generator) -> None:
    """Batch norms that know the data, as after training, and scores and boxes that differ from place to place."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.copy_(1 + torch.randn(norm.weight.shape, generator=generator) * 0.1)
            norm.bias.copy_(torch.randn(norm.bias.shape, generator=generator) * 0.1)
            norm.train()
        forward(pictures(4, size, generator))
        model.eval()
        for norm in norms:
            norm.momentum = 0.03
            # Maps fade from layer to layer: where each is as lively as the last, random weights magnify rounding.
            norm.running_var.mul_(torch.rand(norm.running_var.shape, generator=generator) + 2.0)
            norm.running_var.add_(norm.running_mean**2)
            norm.running_mean.mul_(torch.rand(norm.running_mean.shape, generator=generator) * 0.2 + 0.9)
        # Convolutions without a norm behind them are the last.
        last = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d) and m.bias is not None]
        narrow = lambda module, _, y: (module.weight.div_(y.std() + 1e-3), None)[1]
        hooks = [module.register_forward_hook(narrow) for module in last]
        forward(pictures(2, size, generator))
        for hook, module in zip(hooks, last):
            hook.remove()
            module.bias.copy_(torch.randn(module.bias.shape, generator=generator))


def save(model: torch.nn.Module, path: Path, form: str, size: int | list[int]) -> torch.nn.Module:
    """Writes a checkpoint; the model as a reader of that form sees it."""
    arguments = {"imgsz": size, "task": "detect"}
    if form == "bare":
        model.args = arguments
        torch.save(model, path)
        return model
    if form == "fused":
        model = model.fuse(verbose=False)
    kept = deepcopy(model) if form in ("full", "fused") else deepcopy(model).half()
    whole = {"epoch": -1, "model": kept, "ema": None, "optimizer": None, "train_args": arguments}
    if form == "training":
        whole |= {"epoch": 3, "model": None, "ema": kept, "optimizer": {"state": {0: {"step": torch.ones(1)}}}, "updates": 7}
    torch.save(whole, path)
    return kept.float()


@torch.no_grad()
def answers(model: torch.nn.Module, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    head = model.model[-1]
    answer = model(pixels)
    if isinstance(head, tasks.Classify):
        return {"logits": answer[1]}
    predictions, raw = answer
    outputs = {}
    if isinstance(head, tasks.Segment):
        predictions, outputs["prototypes"] = predictions
    if head.end2end:
        # All candidates of the branch, as `[cx, cy, w, h]`: the graph leaves the choice to the runtime.
        predictions = head._inference(raw["one2one"])
        if not isinstance(head, tasks.OBB):
            (x1, y1, x2, y2), rest = predictions[:, :4].unbind(1), predictions[:, 4:]
            box = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1)
            predictions = torch.cat([box, rest], 1)
    return {"predictions": predictions} | outputs


def yolo(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    name, task = configuration(family)
    classes = lot.choice([1, 2, lot.randint(3, 90)])
    arguments = {"nc": classes, "verbose": False}
    if task == "-pose":
        arguments["data_kpt_shape"] = (lot.randint(1, 20), lot.choice([2, 3]))
    torch.manual_seed(lot.randint(0, 1 << 30))
    model = TASKS[task](name, **arguments)
    words = [f"thing {i}" for i in range(classes)]
    lot.shuffle(words)
    model.names = dict(enumerate(words))

    step = 1 if task == "-cls" else int(max(model.stride.max(), 32))
    least = 64 // step + 1
    drawn = lambda: step * lot.randint(least, least + 64 // step + 1)
    height = width = drawn()
    settings = ["--quantize", "none"]
    trained = height
    form = lot.choice(FORMS)
    if lot.random() < 0.3:
        height, width = drawn(), drawn()
        settings += ["--set", f"image_size={height}x{width}"]
    elif lot.random() < 0.2:
        # Rounded up by whoever trains and whoever converts.
        trained = height - lot.randint(0, step - 1)
    alive(model.eval(), model.predict, (height, width), generator)
    model = save(model, folder / "best.pt", form, trained)
    pixels = pictures(lot.choice([1, 1, 2, 3]), (height, width), generator)
    write_io(folder, {"pixels": pixels}, answers(model, pixels), settings)
    return f"{name.removesuffix('.yaml')} {form}"


# Depth, width, whether depth-wise; the side of the training.
YOLOX = {
    "nano": (0.33, 0.25, True, 416),
    "tiny": (0.33, 0.375, False, 416),
    "s": (0.33, 0.50, False, 640),
    "m": (0.67, 0.75, False, 640),
    "l": (1.0, 1.0, False, 640),
    "x": (1.33, 1.25, False, 640),
}


@torch.no_grad()
def yolox(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    # The script beside this one has the package's name.
    sys.path.append(sys.path.pop(0))
    from yolox.models import YOLOPAFPN, YOLOXHead
    from yolox.models import YOLOX as Model

    turn = COUNTS[family]
    COUNTS[family] += 1
    makers = turn == 0 and os.environ.get("YOLOX_NANO")
    name = list(YOLOX)[turn % len(YOLOX)]
    depth, width, depthwise, _ = YOLOX[name]
    classes = 80 if makers else lot.choice([1, 2, lot.randint(3, 90)])
    parts = YOLOPAFPN(depth, width, depthwise=depthwise), YOLOXHead(classes, width, depthwise=depthwise)
    model = Model(*parts).eval()
    model.head.decode_in_inference = False
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    size, settings = (416, 416), ["--quantize", "none"]
    if not makers:
        size = tuple(32 * lot.randint(3, 6) for _ in range(2))
        settings += ["--set", "image_size={}x{}".format(*size)]
        alive(model, model, size, generator)
        pixels = pictures(lot.choice([1, 1, 2]), size, generator) * 255
        answer = model(pixels)
    else:
        pixels = pictures(1, size, generator) * 255
        answer = known(model, Path(makers), pixels)
    # As its `save_checkpoint` does, or the state dict alone.
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    whole = {"start_epoch": 3, "model": state, "optimizer": {"state": {}, "param_groups": []}, "best_ap": 0.2}
    torch.save(lot.choice([state, whole]), folder / "best_ckpt.pth")
    write_io(folder, {"pixels": pixels}, {"predictions": answer}, settings)
    return f"yolox {name}" + (", the makers'" if makers else "")


def known(model: torch.nn.Module, path: Path, pixels: torch.Tensor) -> torch.Tensor:
    """Puts the weights of the makers' ONNX into the model, and answers what that ONNX does."""
    import onnx
    import onnxruntime as ort

    order = []
    hooks = [m.register_forward_hook(lambda m, *_: order.append(m)) for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    model(pixels)
    for hook in hooks:
        hook.remove()
    graph = onnx.load(path).graph
    weights = {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    norms = {name.removesuffix("bn"): module for name, module in model.named_modules() if name.endswith("bn")}
    names = {module: name.removesuffix("conv") for name, module in model.named_modules()}
    for module, node in zip(order, [node for node in graph.node if node.op_type == "Conv"], strict=True):
        module.weight.copy_(weights[node.input[1]])
        if module.bias is not None:
            module.bias.copy_(weights[node.input[2]])
            continue
        # The norm is folded in that file; this one does nothing but move.
        norm = norms[names[module]]
        norm.running_var.fill_(1 - norm.eps)
        norm.bias.copy_(weights[node.input[2]])
    return torch.from_numpy(ort.InferenceSession(str(path)).run(None, {"images": pixels.numpy()})[0])


FAMILIES = {name: yolo for name in VERSIONS} | {"yolox": yolox}
COUNTS["yolox"] = 0

if __name__ == "__main__":
    sys.exit(cases.main(__doc__, FAMILIES))
