#!/usr/bin/env python3
"""Random Faster R-CNN, Mask R-CNN and U-Net checkpoints with what torchvision and PyTorch answer, and the check of what Bevel
converts them to.

`make` draws trunks, widths, depths, anchors, classes, thresholds and sizes of pictures by lot; statistics of batch norms are
random and scores are spread, so that there are things to find. `--family builders` takes torchvision's own models at full
size and pictures of 480×640. What the same model in fp64 would answer otherwise (another number of things, another label, an
IoU below 0.9999) is drawn anew: there the reference itself hangs on the order of its sums.

`check` converts each with `bevel convert`, then asks three judges: `bevel verify`, the ONNX checker with shape inference, and
stock onnxruntime run here, whose masks torchvision pastes. Exits 1 when one of them says no.
"""

import json
import random
import sys
from pathlib import Path

import cases
import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models import detection, mobilenet
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, mobilenet_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d, box_iou

BUILDERS = {
    "fasterrcnn_resnet50_fpn": {},
    "fasterrcnn_resnet50_fpn_v2": {},
    "fasterrcnn_mobilenet_v3_large_fpn": {},
    "fasterrcnn_mobilenet_v3_large_320_fpn": {},
    "maskrcnn_resnet50_fpn": {},
    "maskrcnn_resnet50_fpn_v2": {},
}
THINGS = ("boxes", "labels", "scores", "masks")


class Trunk(ResNet):
    """A ResNet of any width."""

    def __init__(self, block, depths, width: int, norm, groups: int = 1):
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation, self.groups, self.base_width = norm, width, 1, groups, 64
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = norm(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        for i, depth in enumerate(depths):
            setattr(self, f"layer{i + 1}", self._make_layer(block, width * 2**i, depth, stride=1 + (i > 0)))


def shake(model: nn.Module, lot: random.Random, spread: float = 3.0) -> None:
    """Random statistics, and scores that differ from place to place."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d)):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.6, 1.2)
                module.bias.normal_(0, 0.2)
            elif isinstance(module, (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)):
                fan = module.weight[0].numel() if not isinstance(module, nn.ConvTranspose2d) else module.weight.shape[0]
                module.weight.normal_(0, (1.6 / fan) ** 0.5)
                if module.bias is not None:
                    module.bias.normal_(0, 0.1)
        if not hasattr(model, "rpn"):
            return
        model.rpn.head.cls_logits.weight.mul_(spread)
        model.rpn.head.bbox_pred.weight.mul_(0.2)
        predictor = model.roi_heads.box_predictor
        predictor.cls_score.weight.mul_(spread)
        predictor.cls_score.bias[0] += lot.choice([-1.0, 0.0, 2.0])
        predictor.bbox_pred.weight.mul_(0.5)


def trunk(lot: random.Random):
    """A backbone, the number of its levels, and whether it is a MobileNet."""
    norm = lot.choice([nn.BatchNorm2d, FrozenBatchNorm2d])
    if lot.random() < 0.25:
        name = lot.choice(["mobilenet_v3_large", "mobilenet_v3_large", "mobilenet_v3_small", "mobilenet_v2"])
        arguments = {"backbone_name": name, "weights": None, "norm_layer": norm, "fpn": True, "trainable_layers": 6}
        if lot.random() < 0.3:
            arguments["returned_layers"] = lot.choice([[2, 3, 5], [3, 4, 5], [3, 5]])
        backbone = mobilenet_backbone(**arguments)
        return backbone, len(backbone.fpn.inner_blocks) + 1, True
    width, out = lot.choice([8, 12, 16]), lot.choice([16, 24, 32])
    block, depths, groups = lot.choice(
        [(BasicBlock, [2, 2, 2, 2], 1), (BasicBlock, [1, 2, 1, 1], 1), (BasicBlock, [3, 4, 6, 3], 1)]
        + [(Bottleneck, [1, 2, 2, 1], 1), (Bottleneck, [3, 4, 6, 3], 1), (Bottleneck, [1, 1, 1, 1], 4)]
    )
    body = Trunk(block, depths, width, norm, groups)
    taken = lot.choice([[1, 2, 3, 4]] * 3 + [[2, 3, 4], [1, 2, 3], [3, 4]])
    widths = [width * block.expansion * 2 ** (i - 1) for i in taken]
    fpn_norm = lot.choice([None, nn.BatchNorm2d])
    names = {f"layer{i}": str(at) for at, i in enumerate(taken)}
    return BackboneWithFPN(body, names, widths, out, norm_layer=fpn_norm), len(taken) + 1, False


def small(masked: bool, lot: random.Random) -> tuple[nn.Module, dict]:
    """A model, and what config.json says about it."""
    backbone, levels, mobile = trunk(lot)
    out, wide, classes = backbone.out_channels, lot.choice([16, 24]), lot.randint(2, 8)
    if mobile:
        out = 256
    sizes = [[32 * 2**i] for i in range(levels)] if lot.random() < 0.6 else [[lot.randint(8, 60), lot.randint(60, 120)]] * levels
    ratios = lot.choice([[0.5, 1.0, 2.0], [0.5, 1.0, 2.0], [0.3, 0.8, 1.7, 2.5]])
    config = {
        "num_classes": classes,
        "anchor_sizes": sizes,
        "aspect_ratios": ratios,
        "min_size": lot.choice([96, 128, 200, 256]),
        "max_size": lot.choice([160, 224, 300, 400]),
        "rpn_pre_nms_top_n_test": lot.choice([1000, 1000, 50, 300]),
        "rpn_post_nms_top_n_test": lot.choice([1000, 1000, 40, 200]),
        "rpn_nms_thresh": lot.choice([0.7, 0.7, 0.6, 0.45]),
        "rpn_score_thresh": lot.choice([0.0, 0.0, 0.05, 0.3]),
        "box_score_thresh": lot.choice([0.05, 0.05, 0.3, 0.95]),
        "box_nms_thresh": lot.choice([0.5, 0.5, 0.3, 0.6]),
        "box_detections_per_img": lot.choice([100, 100, 10, 1]),
    }
    arguments = {key: value for key, value in config.items() if key not in ("num_classes", "anchor_sizes", "aspect_ratios")}
    if lot.random() < 0.3:
        config["image_mean"] = arguments["image_mean"] = [0.4, 0.5, 0.6]
        config["image_std"] = arguments["image_std"] = [0.3, 0.25, 0.2]
    anchors = AnchorGenerator(tuple(map(tuple, sizes)), (tuple(ratios),) * levels)
    per_cell = anchors.num_anchors_per_location()[0]
    head = TwoMLPHead(out * 49, wide)
    if lot.random() < 0.4:
        head = FastRCNNConvFCHead((out, 7, 7), [12] * lot.randint(1, 3), [wide] * lot.randint(1, 2), norm_layer=nn.BatchNorm2d)
    parts = {
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(out, per_cell, conv_depth=lot.choice([1, 1, 2])),
        "box_head": head,
        "box_predictor": FastRCNNPredictor(wide, classes),
    }
    if not masked:
        return FasterRCNN(backbone, **parts, **arguments), config
    layers = [lot.choice([8, 12])] * lot.randint(1, 4)
    parts["mask_head"] = MaskRCNNHeads(out, layers, 1, norm_layer=lot.choice([None, nn.BatchNorm2d]))
    parts["mask_predictor"] = MaskRCNNPredictor(layers[-1], lot.choice([8, 10]), classes)
    return MaskRCNN(backbone, **parts, **arguments), config


def picture(sides: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Blots of several sizes and some noise, 0 ..= 1."""
    layers = []
    for cells in (3, 8, 24):
        coarse = torch.rand((1, 3, cells, cells), generator=generator)
        layers.append(nn.functional.interpolate(coarse, sides, mode="bicubic")[0])
    noise = torch.rand((3, *sides), generator=generator)
    return (sum(layers) / 3 * 0.9 + noise * 0.1).clamp(0, 1)


def differ(found: dict, expected: dict, least: float = 0.999) -> str | None:
    """What is wrong about things beside those expected: numbers, labels, scores, overlaps."""
    if len(found["scores"]) != len(expected["scores"]):
        return f"{len(found['scores'])} things, expected {len(expected['scores'])}"
    if not len(found["scores"]):
        return None
    near = (found["scores"][:, None] - expected["scores"][None]).abs() <= 1e-4
    same = near & (found["labels"][:, None] == expected["labels"][None])
    overlap = box_iou(found["boxes"].float(), expected["boxes"].float()) * same
    best, pair = overlap.max(0)
    if best.min() < least or len(pair.unique()) != len(pair):
        return f"boxes of IoU {best.min():.4f}, {(~same.any(0)).sum()} without a partner"
    if "masks" in expected:
        a, b = found["masks"][pair].double(), expected["masks"].double()
        lesser, greater = torch.minimum(a, b).flatten(1).sum(1), torch.maximum(a, b).flatten(1).sum(1)
        share = torch.where(greater > 0, lesser / greater, 1.0)
        if share.min() < least:
            return f"masks of IoU {share.min():.4f}"
    return None


def write(folder: Path, model: nn.Module, config: dict, image: torch.Tensor, arguments: list[str]) -> None:
    torch.save(model.state_dict(), folder / "model.pth")
    (folder / "config.json").write_text(json.dumps({"library": "torchvision"} | config))
    cases.write_io(folder, {"image": image}, model([image])[0], arguments)


@torch.inference_mode()
def things(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    """Writes one checkpoint of a small model. Returns what it is, for counting."""
    while True:
        torch.manual_seed(lot.randrange(1 << 40))
        model, config = small(family == "maskrcnn", lot)
        shake(model, lot)
        model.eval()
        sides = (lot.randint(60, 260), lot.randint(60, 260))
        scale = min(config["min_size"] / min(sides), config["max_size"] / max(sides))
        if sides[0] * scale < 68:
            continue  # torchvision takes maps for twice as fine as they are
        image = picture(sides, generator)
        answered = model([image])[0]
        exact = model.double()([image.double()])[0]
        model.float()
        if differ(answered, exact, 0.9999) is None:
            break
    write(folder, model, config, image, ["--quantize", "none"])
    return f"{family} that finds {'things' if len(answered['scores']) else 'nothing'}"


@torch.inference_mode()
def builders(folder: Path, _: str, lot: random.Random, generator: torch.Generator) -> str:
    """Writes one of torchvision's models at full size."""
    name = list(BUILDERS)[int(folder.name.split("-")[-1]) % len(BUILDERS)]
    while True:
        torch.manual_seed(lot.randrange(1 << 40))
        model = getattr(detection, name)(weights=None, weights_backbone=None)
        shake(model, lot, 1.0)
        model.eval()
        sides = lot.choice([(480, 640), (640, 427), (375, 500)])
        image = picture(sides, generator)
        answered = model([image])[0]
        exact = model.double()([image.double()])[0]
        model.float()
        if differ(answered, exact, 0.9999) is None:
            break
        print(f"{name} anew: {differ(answered, exact, 0.9999)}", flush=True)
    write(folder, model, {"architecture": name, "num_classes": 91}, image, ["--quantize", "none"])
    return f"{name} that finds {'things' if len(answered['scores']) else 'nothing'}"


class UNet(nn.Module):
    """A U-Net whose parts are called as a style says."""

    def __init__(self, style: str, channels: int, classes: int, width: int, depth: int, bilinear: bool, norm: bool, generator=None):
        super().__init__()
        self.style, self.depth, self.bilinear, self.first = style, depth, bilinear, style != "mateuszbuda"
        self.parts = nn.ModuleDict()
        widths = [width * 2**level for level in range(depth + 1)]
        if bilinear:
            widths[-1] //= 2
        for level in range(depth + 1):
            self.add(f"down{level}", self.convs(channels if level == 0 else widths[level - 1], widths[level], widths[level], norm))
        below = widths[-1]
        for level in reversed(range(depth)):
            beside = widths[level]
            to = beside // 2 if bilinear and level > 0 else beside
            risen = below if bilinear else beside
            if not bilinear:
                self.add(f"up{level}", nn.ConvTranspose2d(below, beside, 2, 2))
            self.add(f"joined{level}", self.convs(beside + risen, to, (beside + risen) // 2 if bilinear else to, norm))
            below = to
        self.add("head", nn.Conv2d(below, classes, 1))

    def add(self, name: str, part: nn.Module) -> None:
        self.parts[name] = part

    @staticmethod
    def convs(inputs: int, outputs: int, middle: int, norm: bool) -> nn.Sequential:
        layers = []
        for a, b in ((inputs, middle), (middle, outputs)):
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=not norm), nn.BatchNorm2d(b) if norm else nn.Identity(), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beside = []
        for level in range(self.depth + 1):
            x = self.parts[f"down{level}"](nn.functional.max_pool2d(x, 2) if level else x)
            beside.append(x)
        for level in reversed(range(self.depth)):
            if self.bilinear:
                x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            else:
                x = self.parts[f"up{level}"](x)
            both = [beside[level], x]
            x = self.parts[f"joined{level}"](torch.cat(both if self.first else both[::-1], 1))
        return self.parts["head"](x)

    def named_as_style(self) -> dict[str, torch.Tensor]:
        """The state dict under the names of the implementation."""
        layers = {"mateuszbuda": {"0": "conv1", "1": "norm1", "3": "conv2", "4": "norm2"}}.get(self.style)
        named = {}
        for name, tensor in self.state_dict().items():
            part, rest = name.removeprefix("parts.").split(".", 1)
            level = int("".join(filter(str.isdigit, part)) or 0)
            turn = self.depth - level
            kind = part.rstrip("0123456789")
            deepest = level == self.depth
            if self.style == "milesial":
                down = "inc.double_conv" if level == 0 else f"down{level}.maxpool_conv.1.double_conv"
                base = {"down": down, "up": f"up{turn}.up", "joined": f"up{turn}.conv.double_conv", "head": "outc.conv"}[kind]
            elif self.style == "mateuszbuda":
                down = "bottleneck.bottleneck" if deepest else f"encoder{level + 1}.enc{level + 1}"
                joined = f"decoder{level + 1}.dec{level + 1}"
                base = {"down": down, "up": f"upconv{level + 1}", "joined": joined, "head": "conv"}[kind]
            else:
                down = "bottleneck.conv" if deepest else f"downs.{level}.conv"
                at = 2 * (turn - 1)
                base = {"down": down, "up": f"ups.{at}", "joined": f"ups.{at + 1}.conv", "head": "final_conv"}[kind]
            if layers and kind in ("down", "joined"):
                number, of = rest.split(".", 1)
                named[f"{base}{layers[number]}.{of}"] = tensor
            else:
                named[f"{base}.{rest}"] = tensor
        return named


@torch.inference_mode()
def unet(folder: Path, _: str, lot: random.Random, generator: torch.Generator) -> str:
    """Writes one U-Net."""
    style = lot.choice(["milesial", "milesial", "mateuszbuda", "persson"])
    bilinear = style == "milesial" and lot.random() < 0.5
    depth, channels, classes = lot.randint(1, 5), lot.choice([3, 3, 1, 4]), lot.randint(1, 5)
    torch.manual_seed(lot.randrange(1 << 40))
    model = UNet(style, channels, classes, lot.choice([4, 6, 8]), depth, bilinear, lot.random() < 0.8).eval()
    shake(model, lot)
    torch.save(model.named_as_style(), folder / "model.pth")
    sides = [2**depth * lot.randint(1, 3) for _ in range(2)]
    pixels = torch.rand((lot.randint(1, 3), channels, *sides), generator=generator)
    cases.write_io(folder, {"pixels": pixels}, {"logits": model(pixels)}, ["--quantize", "none"])
    return f"unet {style}{' bilinear' if bilinear else ''}"


FAMILIES = {"fasterrcnn": things, "maskrcnn": things, "unet": unet, "builders": builders}


def answers(graphs: list[Path], io: dict[str, torch.Tensor]) -> dict[str, float]:
    """Runs the graph in stock onnxruntime and compares what it finds."""
    import onnxruntime as ort

    if "output.logits" in io:
        return cases.onnxruntime_answers(graphs, io)
    (graph,) = graphs
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    image = io["input.image"]
    found = dict(zip(names, map(torch.from_numpy, session.run(names, {"image": image.numpy()}))))
    if "masks" in found:
        found["masks"] = paste_masks_in_image(found["masks"], found["boxes"], image.shape[-2:])
    expected = {name: io[f"output.{name}"] for name in THINGS if f"output.{name}" in io}
    wrong = differ(found, expected)
    if wrong:
        raise RuntimeError(wrong)
    gaps = (found["scores"].sort().values - expected["scores"].sort().values).abs()
    return {"scores": float(gaps.max()) if len(gaps) else 0.0}


def check_case(folder: Path, bevel: Path, bundle: Path) -> dict[str, float]:
    return cases.check_case(folder, bevel, bundle, answers)


if __name__ == "__main__":
    sys.exit(cases.main(__doc__, FAMILIES, check_case))
