#!/usr/bin/env python3
"""Export a BERT sentence encoder to one fp32 ONNX file with Optimum's names, as a Python user would have it.

input_ids, attention_mask, token_type_ids (i64 N x T) -> last_hidden_state (f32 N x T x D); batch and sequence are dynamic.
"""

import argparse
from pathlib import Path

import onnx
import torch
from transformers import AutoModel


class Encoder(torch.nn.Module):
    """Fixes the order and the names of the graph's inputs and leaves one output."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        out = self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        return out.last_hidden_state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder with config.json and model.safetensors")
    parser.add_argument("output", type=Path, help="the ONNX file to write")
    parser.add_argument("--opset", type=int, default=17)
    args = parser.parse_args()

    model = AutoModel.from_pretrained(args.checkpoint, attn_implementation="eager", dtype=torch.float32)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.randint(1000, 2000, (2, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    axes = {0: "batch", 1: "sequence"}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        Encoder(model.eval()),
        (ids, mask, torch.zeros_like(ids)),
        str(args.output),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: axes for name in [*names, "last_hidden_state"]},
        opset_version=args.opset,
        dynamo=False,  # the tracing exporter needs no further package and writes a single file
    )
    onnx.checker.check_model(str(args.output))


if __name__ == "__main__":
    main()
