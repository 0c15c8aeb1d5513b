"""Writes seeds/<target>/*: small valid files for the fuzzer to start from.

    python tests/fuzz/seeds.py        # torch 2.15, safetensors 0.8
"""

import json
from pathlib import Path

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


safetensors()
