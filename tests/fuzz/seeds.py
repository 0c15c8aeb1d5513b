"""Writes seeds/<target>/*: small valid files for the fuzzer to start from.

    python tests/fuzz/seeds.py        # torch 2.15, safetensors 0.8

tests/golden/pytorch/make.py asks PyTorch what it finds in those of PyTorch; the reader's tests expect the same.
"""

import json
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

SEEDS = Path(__file__).parent / "seeds"


def folder(name):
    path = SEEDS / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def safetensors():
    path = folder("safetensors")
    one = torch.arange(3)
    floats = {str(t): one.to(t) for t in (torch.float64, torch.float16, torch.bfloat16)}
    save_file({"a": one.float().reshape(3, 1), "b": torch.tensor(True)}, path / "two.safetensors")
    save_file(floats, path / "floats.safetensors", metadata={"format": "pt"})
    index = {"metadata": {"total_size": 4}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (path / "index.json").write_text(json.dumps(index))


class Settings(dict):
    """A class that no reader knows."""


def module():
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1, bias=False), torch.nn.BatchNorm2d(2), torch.nn.Identity())
    net.register_buffer("scratch", torch.ones(2), persistent=False)
    net.register_buffer("steps", torch.tensor([8.0, 16.0]))
    net.add_module("again", net[0])
    net.parent = [net]
    net.names = {0: "person", 1: "bicycle"}
    return net


def pytorch():
    """Every file says something that the others do not."""
    grid = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    image = torch.arange(24).reshape(1, 2, 3, 4)
    kinds = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool uint64 uint32 uint16".split()
    net = module()
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    marked = torch.nn.Parameter(torch.tensor([3.0]))
    marked.tensor_parallel = True
    attributed = torch.tensor([4.0])
    attributed.origin = "here"
    optimizer = torch.optim.Adam(net.parameters())
    sum(p.sum() for p in net.parameters()).backward()
    optimizer.step()
    small = OrderedDict(a=torch.tensor([[1.0, 2.0], [3.0, 4.0]]), b=torch.tensor([1.0, -2.0]))
    everything = {**small, "yes": True, "many": 2**40, "huge": -(2**80), "ratio": 1.5, "raw": b"\xff\x00", "set": {1, 2}}
    everything |= {"frozen": frozenset("x"), "array": bytearray(b"xy"), "text": "é", "size": torch.Size([2, 3])}
    files = {
        "dtypes": {k: torch.tensor([0, 1, 2]).to(getattr(torch, k)) for k in kinds}
        | {"scalar": torch.tensor(7.0), "empty": torch.empty(0, 3)},
        "views": {
            "whole": grid,
            "transposed": grid.T,
            "columns": grid[:, 1:3],
            "rows": grid[1:3],
            "every_second": grid[::2, ::3],
            "diagonal": grid.diagonal(),
            "expanded": grid[0].expand(3, 6),
            "repeated": torch.tensor(5, dtype=torch.int16).expand(2, 3),
            "channels_last": image.contiguous(memory_format=torch.channels_last),
            "one_row": grid[2:3, ::2],
        },
        "parameters": {
            "parameter": parameter,
            "marked": marked,
            "attributed": attributed,
            "buffer": torch.nn.Buffer(torch.tensor([5.0])),
            "array": numpy.arange(3),
            "scalar": numpy.float64(1.5),
        },
        "training": {
            "epoch": 3,
            "optimizer": optimizer.state_dict(),
            "state_dict": torch.nn.DataParallel(net).state_dict(),
            "settings": Settings(rate=0.1),
        },
        "module": module(),
        "averaged": {"model": torch.nn.Linear(1, 1), "ema": module().half(), "train_args": {"imgsz": 640}},
        "nested": {"encoder": {"layers": [{"w": grid[0].clone()}, {"w": grid[1].clone()}]}, 3: (parameter,)},
        "alone": torch.tensor([1.0, 2.0]),
        # With this name the header of the first member is as long as the zip64 records, which confuses readers.
        "name-of-21-characters": {"a": torch.tensor([1.0, 2.0])},
    }
    path = folder("pytorch")
    for name, value in files.items():
        torch.save(value, path / f"{name}.pt")
    for protocol in range(1, 6):
        torch.save(everything, path / f"protocol-{protocol}.pt", pickle_protocol=protocol)
    torch.save(files["views"], path / "stream-views.pt", _use_new_zipfile_serialization=False)
    torch.save(files["training"], path / "stream-training.pt", _use_new_zipfile_serialization=False)

    # The pickle alone: within an archive, a mutation that changes its length is only a damaged archive.
    pickles = folder("pickle")
    for file in path.glob("*.pt"):
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                (pickles / f"{file.stem}.pkl").write_bytes(archive.read(f"{file.stem}/data.pkl"))


safetensors()
pytorch()
