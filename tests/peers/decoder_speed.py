#!/usr/bin/env python3
"""How fast a decoder of about 100 M random parameters reads and writes: Bevel's two forms in plain onnxruntime, and transformers.

For each family a checkpoint is made, converted with and without `--portable`, and all three are run in turn: a prompt of 128
tokens, one token behind 128, a prompt of 1024 (GPT-2: 800). Prints tokens per second at the median, and the median of the time of
each run divided by that of the portable form right before it, wall time and processor time of the process. On a machine that
others use, processor time is the steadier one.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import that reads it
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
import transformers

MODELS = {
    "llama, own keys": (transformers.LlamaConfig, {"num_key_value_heads": 12}),
    "llama, shared keys": (transformers.LlamaConfig, {"num_key_value_heads": 4}),
    "gpt2": (transformers.GPT2Config, {}),
}
LLAMA = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 2048, "vocab_size": 32000,
    "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip


class Graph:
    def __init__(self, path: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    def prepare(self, past: int, tokens: int):
        feeds = {
            "input_ids": np.full((1, tokens), 7, np.int64),
            "attention_mask": np.ones((1, past + tokens), np.int64),
            "position_ids": np.arange(past, past + tokens, dtype=np.int64)[None],
        }
        for i in self.session.get_inputs():
            if i.name.startswith("past"):
                feeds[i.name] = np.random.randn(1, i.shape[1], past, i.shape[3]).astype(np.float32)
        binding = self.session.io_binding()
        values = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in feeds.items()}
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)

        def run(_held=values) -> None:  # the binding does not keep what it was given
            for name in self.outputs:
                binding.bind_output(name)
            self.session.run_with_iobinding(binding)

        return run


class Torch:
    def __init__(self, folder: Path, attention: str) -> None:
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention).eval()

    def prepare(self, past: int, tokens: int):
        ids = torch.full((1, tokens), 7)
        cache = transformers.DynamicCache()
        if past:
            with torch.inference_mode():
                self.model(input_ids=torch.full((1, past), 7), past_key_values=cache)

        def run() -> None:
            with torch.inference_mode():
                self.model(input_ids=ids, past_key_values=cache, use_cache=True)
            cache.crop(-tokens)

        return run


def measure(runs: dict, repeat: int) -> dict[str, np.ndarray]:
    """Seconds of each run: wall and processor."""
    times = {name: [] for name in runs}
    for turn in range(repeat + 2):
        for name, run in runs.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            if turn >= 2:
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {name: np.array(of) for name, of in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bevel", type=Path, default=Path("target/release/bevel"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=60)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name, (kind, numbers) in MODELS.items():
        longest = 800 if name == "gpt2" else 1024
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "checkpoint"
            config = kind(**({} if name == "gpt2" else LLAMA | numbers))
            transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
            graphs = {}
            for form, more in {"portable": ["--portable"], "default": []}.items():
                bundle = Path(scratch) / f"{form}.bevel"
                command = [args.bevel, "convert", folder, "-o", bundle, "--quantize", "none", *more]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(done.stderr)
                graphs[form] = Graph(bundle / "model.onnx", args.threads)
            graphs |= {f"torch {attention}": Torch(folder, attention) for attention in ("eager", "sdpa")}
            for past, tokens, share in [(0, 128, 3), (128, 1, 1), (1000, 1, 2), (0, longest, 10)]:
                times = measure({form: g.prepare(past, tokens) for form, g in graphs.items()}, args.repeat // share)
                for form, of in times.items():
                    wall, processor = np.median(of / times["portable"], axis=0)
                    speed = tokens / np.median(of[:, 0])
                    print(f"{name:20} {past:5} + {tokens:<5} {form:12} {speed:8.1f} tokens/s  wall {wall:.3f}  processor {processor:.3f}", flush=True)


if __name__ == "__main__":
    main()
