#!/usr/bin/env python3
"""Writes listings.json: what PyTorch finds in tests/fuzz/seeds/pytorch and in the .pt and .pth files of ../shared/golden.

For each file how many tensors there are and the SHA-256 of their listing, which is a line `NAME DTYPE SHAPE SHA256` each,
in the order of the names' bytes, with the SHA-256 of the contiguous elements; for ultralytics' pickled modules also `stride`,
`names` and the classes of the layers. `make.py --list FILE` prints the listing of one file. Made with torch 2.15 and
ultralytics 8.4.0. Tolerance: exact.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
SEEDS = HERE.parents[1] / "fuzz" / "seeds" / "pytorch"
CASES = HERE.parents[3] / "shared" / "golden"


class Settings(dict):
    """As in seeds.py, which pickled one."""


def tensors(name: str, loaded: object) -> dict[str, torch.Tensor]:
    """The weights, for each file as whoever saved it would take them out."""
    match name:
        case "module":
            return loaded.state_dict()
        case "averaged":
            return loaded["ema"].state_dict()
        case "training" | "stream-training":
            return {k.removeprefix("module."): v for k, v in loaded["state_dict"].items()}
        case "nested":
            layers = {f"encoder.layers.{i}.w": layer["w"] for i, layer in enumerate(loaded["encoder"]["layers"])}
            return layers | {"3.0": loaded[3][0]}
        case "alone":
            return {"tensor": loaded}
    if "train_args" in loaded:
        return loaded["model"].state_dict()
    return {k: v for k, v in loaded.items() if isinstance(v, torch.Tensor)}


def listing(found: dict[str, torch.Tensor]) -> Iterator[str]:
    for name, tensor in sorted(found.items(), key=lambda item: item[0].encode()):
        packed = tensor.detach().clone(memory_format=torch.contiguous_format)
        elements = packed.reshape(-1).view(torch.uint8).numpy().tobytes()
        dtype = str(tensor.dtype).removeprefix("torch.")
        yield f"{name} {dtype} {list(tensor.shape)} {hashlib.sha256(elements).hexdigest()}\n"


def load(path: Path) -> object:
    # Ours, so it may run what it likes; modules need that.
    return torch.load(path, map_location="cpu", weights_only=False)


def main() -> None:
    files = [(p.relative_to(SEEDS.parents[3]), p) for p in sorted(SEEDS.glob("*.pt"))]
    cases = sorted(p for ending in ("pt", "pth") for p in CASES.rglob(f"*.{ending}"))
    files += [(Path("shared/golden") / p.relative_to(CASES), p) for p in cases]
    out = {}
    for name, path in files:
        loaded = load(path)
        lines = list(listing(tensors(path.stem, loaded)))
        out[str(name)] = {"tensors": len(lines), "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}
        if "ultralytics" in type(loaded.get("model") if isinstance(loaded, dict) else None).__module__:
            model = loaded["model"]
            out[str(name)] |= {
                "stride": model.stride.tolist(),
                "names": list(model.names.values()),
                "layers": [type(layer).__name__ for layer in model.model],
            }
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(found)}" for name, found in out.items())
    (HERE / "listings.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--list"]:
        path = Path(sys.argv[2])
        print("".join(listing(tensors(path.stem, load(path)))), end="")
    else:
        main()
