#!/usr/bin/env python3
"""Vision models of full size with random weights: what Bevel makes of them beside torch.onnx + onnxsim.

    exports.py NAME... | --group GROUP | --all   [--bevel PATH] [--work DIR] [--runs N] [--check]

For each model: the answers of the library against `bevel verify`, the nodes of both graphs (the export with TorchScript or
with dynamo, whichever has fewer, simplified by onnxsim), the operators one has more of than the other, and the ratio of the
medians of `session.run` (stock onnxruntime, 2 threads, runs interleaved). The export has fixed sizes, which is its best case.
Batch norms get random statistics, so that folding them is put to the test. `--check` exits 1 when Bevel's graph has more
nodes, answers wrong, or has another ratio than `--ratio` allows.

A row of MODELS is a library's model, the shape of its input, and how its checkpoint is written.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import torch
from safetensors.torch import save_file


@dataclass
class Row:
    """A model to compare: `make` answers it in eval mode, `save` writes what Bevel converts."""

    make: Callable[[], torch.nn.Module]
    shape: tuple[int, ...]
    save: Callable[[torch.nn.Module, Path], None]
    group: str
    input: str = "pixels"
    outputs: tuple[str, ...] = ("logits",)
    arguments: tuple[str, ...] = ()


def shake(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random statistics, scales and shifts for every normalisation; weights that keep the size of what passes."""
    generator = torch.Generator().manual_seed(seed)
    rand = lambda like, low, high: torch.empty_like(like).uniform_(low, high, generator=generator)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.copy_(rand(module.running_mean, -0.3, 0.3))
                module.running_var.copy_(rand(module.running_var, 0.6, 1.6))
            if isinstance(module, (torch.nn.modules.batchnorm._BatchNorm, torch.nn.LayerNorm)) and module.weight is not None:
                module.weight.copy_(rand(module.weight, 0.7, 1.3))
                module.bias.copy_(rand(module.bias, -0.2, 0.2))
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                fan_in = module.weight[0].numel()
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * fan_in**-0.5)
                if module.bias is not None:
                    module.bias.copy_(rand(module.bias, -0.1, 0.1))
    return model.eval()


def torchvision_row(name: str, side: int, group: str, **arguments) -> Row:
    def make() -> torch.nn.Module:
        import torchvision

        return shake(getattr(torchvision.models, name)(weights=None, **arguments))

    def save(model: torch.nn.Module, folder: Path) -> None:
        torch.save(model.state_dict(), folder / "model.pth")
        config = {"architecture": name, "library": "torchvision", "image_size": side}
        (folder / "config.json").write_text(json.dumps(config | {k: v for k, v in arguments.items() if k == "transform_input"}))

    return Row(make, (1, 3, side, side), save, group)


class Named(torch.nn.Module):
    """A model of transformers that answers only the tensors that are compared."""

    def __init__(self, inner: torch.nn.Module, outputs: tuple[str, ...]):
        super().__init__()
        self.inner, self.outputs = inner, outputs

    def forward(self, pixels):
        answered = self.inner(pixels)
        return tuple(answered[name] for name in self.outputs)


def transformers_row(name: str, config: str, side: int, group: str, outputs=("logits",), **arguments) -> Row:
    def make() -> torch.nn.Module:
        import transformers

        model = getattr(transformers, name)(getattr(transformers, config)(num_labels=1000, **arguments))
        return Named(shake(model), outputs).eval()

    save = lambda model, folder: model.inner.save_pretrained(folder)
    return Row(make, (1, 3, side, side), save, group, "pixel_values", outputs)


class Found(torch.nn.Module):
    """A detector of torchvision on one picture, whose answer is a tuple."""

    def __init__(self, inner: torch.nn.Module, outputs: tuple[str, ...]):
        super().__init__()
        self.inner, self.outputs = inner, outputs

    def forward(self, image):
        found = self.inner([image])[0]
        return tuple(found[name] for name in self.outputs)


def detector_row(name: str, masks: bool = False) -> Row:
    outputs = ("boxes", "labels", "scores") + (("masks",) if masks else ())

    def make() -> torch.nn.Module:
        import random

        import regions
        from torchvision.models import detection

        torch.manual_seed(0)
        # Few things: with random weights many are alike, and which are kept hangs on the order of sums.
        model = getattr(detection, name)(weights=None, weights_backbone=None, box_detections_per_img=3)
        regions.shake(model, random.Random(0), 1.0)
        return Found(model, outputs).eval()

    def save(model: torch.nn.Module, folder: Path) -> None:
        torch.save(model.inner.state_dict(), folder / "model.pth")
        (folder / "config.json").write_text(json.dumps({"architecture": name, "box_detections_per_img": 3}))

    return Row(make, (3, 480, 640), save, "regions", "image", outputs)


def unet_row(style: str, bilinear: bool = False) -> Row:
    def make() -> torch.nn.Module:
        import regions

        return shake(regions.UNet(style, 3, 2, 64, 4, bilinear, True))

    save = lambda model, folder: torch.save(model.named_as_style(), folder / "model.pth")
    return Row(make, (1, 3, 256, 256), save, "regions")


DETECTORS = "fasterrcnn_resnet50_fpn fasterrcnn_resnet50_fpn_v2 fasterrcnn_mobilenet_v3_large_fpn fasterrcnn_mobilenet_v3_large_320_fpn".split()


class Exported(torch.nn.Module):
    """A model of ultralytics fused and set up as its exporter does, beside the one that is saved."""

    def __init__(self, trained: torch.nn.Module):
        super().__init__()
        self.trained = [trained]
        self.inner = deepcopy(trained).fuse(verbose=False).eval()
        self.classifier = hasattr(self.inner.model[-1], "linear")
        # A classifier ends in a softmax there; here its logits are compared.
        self.inner.model[-1].export = not self.classifier

    def forward(self, pixels):
        return self.inner(pixels)[1] if self.classifier else self.inner(pixels)


def ultralytics_row(name: str, side: int = 640) -> Row:
    kind = next((kind for kind in ("-seg", "-pose", "-obb", "-cls") if kind in name), "")

    def make() -> torch.nn.Module:
        import yolo_cases

        torch.manual_seed(0)
        model = yolo_cases.TASKS[kind](f"{name}.yaml", verbose=False).eval()
        yolo_cases.alive(model, model.predict, (side, side), torch.Generator().manual_seed(0))
        return Exported(model).eval()

    save = lambda model, folder: torch.save({"model": model.trained[0], "train_args": {"imgsz": side}}, folder / "best.pt")
    outputs = {"-cls": ("logits",), "-seg": ("predictions", "prototypes")}.get(kind, ("predictions",))
    return Row(make, (1, 3, side, side), save, "yolo", outputs=outputs)


RESNETS = "resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d wide_resnet50_2".split()
VGGS = "vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn".split()
MOBILE = "mobilenet_v2 mobilenet_v3_small mobilenet_v3_large".split()
EFFICIENT = {"b0": 224, "b1": 240, "b2": 288, "b3": 300, "b4": 380, "b5": 456, "b6": 528, "b7": 600, "v2_s": 384, "v2_m": 480, "v2_l": 480}
YOLOS = "yolov8n yolov8m yolov8n-seg yolov8n-pose yolov8n-obb yolo11n yolo11s yolo11n-seg yolo11n-pose yolo11n-obb".split()
YOLOS += "yolov5n yolov9t yolov10n yolo12n yolo26n".split()
VITS = {"vit_b_16": 224, "vit_b_32": 224, "vit_l_16": 224, "vit_l_32": 224}

MODELS: dict[str, Row] = (
    {name: torchvision_row(name, 224, "classify") for name in [*RESNETS, *VGGS, *MOBILE]}
    | {"inception_v3": torchvision_row("inception_v3", 299, "classify", init_weights=False, transform_input=True)}
    | {f"efficientnet_{name}": torchvision_row(f"efficientnet_{name}", side, "classify") for name, side in EFFICIENT.items()}
    | {name: torchvision_row(name, side, "classify") for name, side in VITS.items()}
    | {
        "hf-resnet50": transformers_row("ResNetForImageClassification", "ResNetConfig", 224, "classify"),
        "hf-mobilenet_v2": transformers_row("MobileNetV2ForImageClassification", "MobileNetV2Config", 224, "classify"),
        "hf-efficientnet_b0": transformers_row(
            "EfficientNetForImageClassification",
            "EfficientNetConfig",
            224,
            "classify",
            image_size=224,
            width_coefficient=1.0,
            depth_coefficient=1.0,
            hidden_dim=1280,
            depthwise_padding=[],
        ),
        "hf-vit-base": transformers_row("ViTForImageClassification", "ViTConfig", 224, "classify"),
        "hf-deit-base": transformers_row("DeiTForImageClassificationWithTeacher", "DeiTConfig", 224, "classify"),
    }
    | {name: detector_row(name) for name in DETECTORS}
    | {name: detector_row(name, masks=True) for name in ("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2")}
    | {"unet": unet_row("milesial"), "unet-bilinear": unet_row("milesial", bilinear=True)}
    | {name: ultralytics_row(name) for name in YOLOS}
    | {name: ultralytics_row(name, 224) for name in ["yolov8n-cls", "yolo11n-cls"]}
)


def exported(model: torch.nn.Module, pixels: torch.Tensor, row: Row, folder: Path) -> tuple[Path, str]:
    """The simplified export with the fewest nodes, and which exporter made it."""
    import onnx
    import onnxsim

    # The exporter that traces does not know PyTorch's fused attention.
    torch.backends.mha.set_fastpath_enabled(False)

    best, which, errors = None, "", []
    for dynamo in (False, True):
        path = folder / f"export-{'dynamo' if dynamo else 'script'}.onnx"
        try:
            with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                warnings.simplefilter("ignore")
                names = {"input_names": [row.input], "output_names": list(row.outputs)}
                torch.onnx.export(model, (pixels,), str(path), dynamo=dynamo, **names)
            simplified, _ = onnxsim.simplify(onnx.load(str(path)))
            onnx.save(simplified, str(path))
        except Exception as error:  # one of the exporters is enough
            errors.append(f"{type(error).__name__}: {error}"[:200])
            continue
        if best is None or len(simplified.graph.node) < len(onnx.load(str(best)).graph.node):
            best, which = path, "dynamo" if dynamo else "script"
    if best is None:
        raise RuntimeError("; ".join(errors))
    return best, which


def operators(path: Path) -> Counter:
    import onnx

    return Counter(node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node)


def ratio(ours: Path, theirs: Path, feed: dict, runs: int) -> tuple[float, float, float]:
    """Median seconds of both, and the ratio, runs interleaved."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    # Threads that spin behind a run would take the processors from the other session's.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    sessions = [ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in (ours, theirs)]
    times: list[list[float]] = [[], []]
    for run in range(runs + 2):
        order = (0, 1) if run % 2 else (1, 0)
        for i in order:
            named = {inside.name: value for inside, value in zip(sessions[i].get_inputs(), feed.values())}
            start = time.perf_counter()
            sessions[i].run(None, named)
            if run >= 2:
                times[i].append(time.perf_counter() - start)
    a, b = (statistics.median(t) for t in times)
    return a, b, a / b


@torch.inference_mode()
def compare(name: str, row: Row, args: argparse.Namespace) -> bool:
    import onnx

    folder = args.work / name
    folder.mkdir(parents=True, exist_ok=True)
    model = row.make()
    pixels = torch.randn(row.shape, generator=torch.Generator().manual_seed(1))
    row.save(model, folder)
    answered = model(pixels)
    answered = answered if isinstance(answered, (tuple, list)) else (answered,)
    tensors = {f"input.{row.input}": pixels} | {f"output.{n}": t.clone().contiguous() for n, t in zip(row.outputs, answered)}
    save_file(tensors, folder / "io.safetensors")

    bundle = args.work / f"{name}.bevel"
    bevel = lambda *arguments: subprocess.run([args.bevel, *arguments], capture_output=True, text=True)
    converted = bevel("convert", folder, "-o", bundle, "--quantize", "none", *row.arguments)
    if converted.returncode:
        print(f"{name}: {converted.stderr.strip()}")
        return False
    verified = bevel("verify", bundle, "--io", folder / "io.safetensors")
    (ours,) = bundle.glob("*.onnx")
    onnx.checker.check_model(str(ours), full_check=True)
    mine = operators(ours)
    line = f"{name}: verify {'ok' if verified.returncode == 0 else 'WRONG ' + verified.stdout.strip()}"
    line += f", largest |answer| {max(t.abs().max().item() for t in answered):.2g}, nodes {mine.total()}"
    right = verified.returncode == 0
    if not args.no_export:
        theirs, which = exported(model, pixels, row, folder)
        other = operators(theirs)
        right &= mine.total() <= other.total()
        line += f" against {other.total()} ({which})"
        if mine != other:
            line += f", more {dict(mine - other)}, fewer {dict(other - mine)}"
        if args.runs:
            a, b, times = ratio(ours, theirs, {row.input: pixels.numpy()}, args.runs)
            right &= times <= args.ratio
            line += f", run {a * 1e3:.2f} ms against {b * 1e3:.2f}: {times:.3f}"
    print(line, flush=True)
    if not args.keep:
        for path in [*folder.iterdir(), *bundle.iterdir()]:
            path.unlink()
    return right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODELS))
    parser.add_argument("--group", choices=sorted({row.group for row in MODELS.values()}))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--bevel", type=Path, default=Path("target/release/bevel"))
    parser.add_argument("--work", type=Path, default=Path("/tmp/bevel-exports"))
    parser.add_argument("--runs", type=int, default=21, help="0 measures nothing")
    parser.add_argument("--ratio", type=float, default=1.02)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--no-export", action="store_true", help="only what Bevel makes, and whether it is right")
    parser.add_argument("--keep", action="store_true", help="leave checkpoints, bundles and exports")
    args = parser.parse_args()
    names = args.names or [name for name, row in MODELS.items() if args.all or row.group == args.group]
    if not names:
        parser.error("name models, a --group or --all")
    results = [compare(name, MODELS[name], args) for name in names]
    return 1 if args.check and not all(results) else 0


if __name__ == "__main__":
    sys.exit(main())
