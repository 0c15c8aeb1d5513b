#!/usr/bin/env python3
"""Exports of well-known networks by torch.onnx (both exporters) and Ultralytics, with random weights, and what onnxsim makes
of them: the reference for the number of nodes. `check` converts each with Bevel and compares node counts and answers.

    onnx_exports.py make FOLDER [--only NAME]…
    onnx_exports.py check FOLDER --bevel target/release/bevel [--only NAME]…
    onnx_exports.py shapes FOLDER --bevel target/release/examples/shapes [--only NAME]…    (cargo build --example shapes)
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import that reads it

import argparse
import json
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

SEED = 7


def pictures(*shape):
    import torch

    return torch.rand(*shape)


def vision(name, side=224, opset=14):
    import torch
    import torchvision

    torch.backends.mha.set_fastpath_enabled(False)  # its operator has no ONNX form
    return getattr(torchvision.models, name)(weights=None).eval(), (pictures(1, 3, side, side),), {"opset": opset}


def inception():
    import torchvision

    model = torchvision.models.inception_v3(weights=None, aux_logits=True, init_weights=False).eval()
    return model, (pictures(1, 3, 299, 299),), {}


def unet():
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet34", encoder_weights=None, classes=3).eval(), (pictures(1, 3, 128, 128),), {}


def faster_rcnn():
    import torchvision

    model = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=7, min_size=160, max_size=224, box_score_thresh=0.01
    ).eval()
    return model, ([pictures(3, 160, 192)],), {"opset": 18}


def bert():
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128, vocab_size=300)
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = BertModel(config).eval()

        def forward(self, input_ids, attention_mask, token_type_ids):
            out = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return out.last_hidden_state, out.pooler_output

    model = Named().eval()
    ids = torch.randint(0, 300, (2, 9))
    names = ["input_ids", "attention_mask", "token_type_ids"]
    return model, (ids, torch.ones_like(ids), torch.zeros_like(ids)), {"inputs": names, "dynamic": {0: "batch", 1: "sequence"}}


def gpt2():
    import torch
    from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

    class Past(torch.nn.Module):
        def __init__(self):
            super().__init__()
            config = GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=300, n_positions=64)
            self.model = GPT2LMHeadModel(config).eval()

        def forward(self, ids, mask, *past):
            cache = DynamicCache([(past[0], past[1]), (past[2], past[3])])
            out = self.model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
            present = [part for layer in out.past_key_values.layers for part in (layer.keys, layer.values)]
            return (out.logits, *present)

    past = tuple(torch.randn(1, 4, 5, 16) for _ in range(4))
    return Past().eval(), (torch.randint(0, 300, (1, 3)), torch.ones(1, 8, dtype=torch.int64), *past), {}


def lstm():
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(12, 24, num_layers=2, batch_first=True)
            self.head = torch.nn.Linear(24, 5)

        def forward(self, x):
            y, _ = self.lstm(x)
            return self.head(y[:, -1])

    return Net().eval(), (torch.randn(1, 7, 12),), {}


MODELS = {
    "lstm": lstm,
    "resnet50": lambda: vision("resnet50"),
    "mobilenet_v3": lambda: vision("mobilenet_v3_small"),
    "efficientnet_b0": lambda: vision("efficientnet_b0"),
    "inception_v3": inception,
    "vgg11_bn": lambda: vision("vgg11_bn"),
    "vit_b_16": lambda: vision("vit_b_16", opset=17),
    "unet": unet,
    "bert": bert,
    "gpt2": gpt2,
    "fasterrcnn": faster_rcnn,
}

YOLO = {"yolov8n": "yolov8n.yaml", "yolo11n-seg": "yolo11n-seg.yaml", "yolov8n-pose": "yolov8n-pose.yaml",
        "yolov8n-obb": "yolov8n-obb.yaml", "yolov8n-cls": "yolov8n-cls.yaml"}


def export(folder: Path, name: str, dynamo: bool) -> None:
    import torch

    torch.manual_seed(SEED)
    model, inputs, options = MODELS[name]()
    # Batch norms that have seen something, so that folding them matters.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    path = folder / f"{name}-{'dynamo' if dynamo else 'script'}.onnx"
    settings = {"input_names": options.get("inputs")} if options.get("inputs") else {}
    if options.get("dynamic") and not dynamo:
        settings["dynamic_axes"] = {name: options["dynamic"] for name in options["inputs"]}
    if options.get("dynamic") and dynamo:
        dim = {axis: torch.export.Dim(name) for axis, name in options["dynamic"].items()}
        settings["dynamic_shapes"] = {name: dim for name in options["inputs"]}
    if not dynamo:
        settings["opset_version"] = options.get("opset", 14)
    with torch.no_grad():
        torch.onnx.export(model, inputs, str(path), dynamo=dynamo, **settings)


def ultralytics(folder: Path, name: str) -> None:
    import torch
    from ultralytics import YOLO as Model

    torch.manual_seed(SEED)
    work = folder / "yolo"
    work.mkdir(exist_ok=True)
    os.chdir(work)
    made = Model(YOLO[name]).export(format="onnx", simplify=False, imgsz=224 if name.endswith("cls") else 320, opset=17)
    shutil.move(made, folder / f"{name}.onnx")


def count(graph) -> int:
    """Nodes, those of bodies too; constants are no nodes."""
    total = 0
    for node in graph.node:
        total += node.op_type != "Constant"
        for attribute in node.attribute:
            for body in [attribute.g, *attribute.graphs]:
                total += count(body)
    return total


def simplified(path: Path) -> Path:
    import onnx
    import onnxsim

    out = path.with_suffix(".sim.onnx")
    model, _ = onnxsim.simplify(onnx.load(str(path)))
    onnx.save(model, str(out))
    return out


def make(args) -> None:
    args.folder.mkdir(parents=True, exist_ok=True)
    folder = args.folder.resolve()
    jobs = [(name, kind) for name in MODELS for kind in (False, True)] + [(name, None) for name in YOLO]
    for name, kind in jobs:
        if args.only and name not in args.only:
            continue
        start = time.time()
        try:
            if kind is None:
                ultralytics(folder, name)
                path = folder / f"{name}.onnx"
            else:
                export(folder, name, kind)
                path = folder / f"{name}-{'dynamo' if kind else 'script'}.onnx"
            import onnx

            before = count(onnx.load(str(path), load_external_data=False).graph)
            after = count(onnx.load(str(simplified(path)), load_external_data=False).graph)
            print(f"{path.name}: {before} nodes, onnxsim {after} ({time.time() - start:.0f} s)", flush=True)
        except Exception as error:  # one exporter that fails does not end the rest
            print(f"{name} {kind}: {type(error).__name__}: {str(error)[:300]}", flush=True)


def feed(session, seed: int):
    import numpy as np

    random = np.random.default_rng(seed)
    feeds = {}
    named = {"batch": 2, "sequence": 9, "h": 16, "w": 18}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else named.get(d, 1) for d in value.shape]
        if "int" in value.type:
            feeds[value.name] = random.integers(0, 2, shape).astype(np.int64)
        else:
            feeds[value.name] = random.random(shape, dtype=np.float32)
    return feeds


def check(args) -> int:
    import numpy as np
    import onnx
    import onnxruntime as ort

    bad = 0
    for path in sorted(args.folder.glob("*.onnx")):
        if path.name.endswith(".sim.onnx") or (args.only and not any(path.name.startswith(o) for o in args.only)):
            continue
        bundle = path.with_suffix(".bevel")
        command = [args.bevel, "convert", path, "-o", bundle, "--task", "tensors", "--quantize", "none", "--json"]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            print(f"{path.name}: {run.stderr.strip()}")
            bad += 1
            continue
        ours = bundle / "model.onnx"
        onnx.checker.check_model(str(ours), full_check=True)
        mine, before = (count(onnx.load(str(p), load_external_data=False).graph) for p in (ours, path))
        sim = path.with_suffix(".sim.onnx")
        theirs = count(onnx.load(str(sim), load_external_data=False).graph) if sim.exists() else None
        a, b = (ort.InferenceSession(str(p), providers=["CPUExecutionProvider"]) for p in (path, ours))
        worst = 0.0
        for seed in range(3):
            feeds = feed(a, seed)
            for x, y in zip(a.run(None, feeds), b.run(None, feeds)):
                if x.shape != y.shape:
                    worst = float("inf")
                elif x.size:
                    scale = max(1.0, float(np.abs(x).max())) if x.dtype.kind == "f" else 1.0
                    worst = max(worst, float(np.abs(x.astype(np.float64) - y).max()) / scale)
        flag = "" if worst <= 1e-4 and (theirs is None or mine <= theirs) else "  <<<"
        bad += bool(flag)
        line = f"{path.name}: {before} nodes, onnxsim {theirs}, bevel {mine}, max |a-b| {worst:.2g}"
        if args.time:
            line += f", run {ratio(b, ort.InferenceSession(str(sim if sim.exists() else path)), feed(a, 0)):.3f} of onnxsim's"
        print(line + flag, flush=True)
    return bad


def shapes(args) -> int:
    """Shapes that both know and differ in are wrong; counts how many values each knows in full."""
    import onnx

    bad = 0
    for path in sorted(args.folder.glob("*.onnx")):
        if path.name.endswith(".sim.onnx") or (args.only and not any(path.name.startswith(o) for o in args.only)):
            continue
        upgraded = args.folder / "upgraded.onnx"
        run = subprocess.run([args.bevel, path, upgraded], capture_output=True, text=True, check=True)
        ours = {line.split(" ")[0]: line.split(" ")[1:] for line in run.stdout.splitlines()}
        model = onnx.shape_inference.infer_shapes(onnx.load(str(upgraded)), data_prop=True)
        theirs = {}
        for value in [*model.graph.value_info, *model.graph.output]:
            if value.type.tensor_type.HasField("shape"):
                theirs[value.name] = [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]
        known = lambda dims: all(str(d).isdigit() for d in dims)
        wrong = []
        for name in ours.keys() & theirs.keys():
            pairs = zip(ours[name], theirs[name])
            if len(ours[name]) != len(theirs[name]) or any(a.isdigit() and b is not None and int(a) != b for a, b in pairs):
                wrong.append((name, ours[name], theirs[name]))
        names = {output for node in model.graph.node for output in node.output}
        a, b = (sum(name in names and known(dims) for name, dims in of.items()) for of in (ours, theirs))
        print(f"{path.name}: {len(names)} values, known in full: bevel {a}, onnx {b}; different {len(wrong)} {wrong[:3]}", flush=True)
        bad += len(wrong)
    return bad


def ratio(a, b, feeds, rounds: int = 15) -> float:
    """Median time of a by that of b, in turn."""
    spent = ([], [])
    for _ in range(rounds):
        for session, times in zip((a, b), spent):
            start = time.perf_counter()
            session.run(None, feeds)
            times.append(time.perf_counter() - start)
    return sorted(spent[0])[rounds // 2] / sorted(spent[1])[rounds // 2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    for name in ("make", "check", "shapes"):
        job = jobs.add_parser(name)
        job.add_argument("folder", type=Path)
        job.add_argument("--only", action="append")
        if name != "make":
            job.add_argument("--bevel", type=Path, required=True)
        if name == "check":
            job.add_argument("--time", action="store_true")
    args = parser.parse_args()
    if args.job == "make":
        make(args)
        return 0
    return {"check": check, "shapes": shapes}[args.job](args)


if __name__ == "__main__":
    sys.exit(main())
