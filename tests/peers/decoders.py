#!/usr/bin/env python3
"""Random small causal decoders with what transformers answers on them, made and checked as those of `cases.py`.

Drawn by lot besides what is drawn there: width and sharing of heads, bases and scalings of the rotation in new and old
configurations, biases, tying, several rows of different length padded on the left, tokens that end a text, repetition
penalty. `input.*` and `output.logits` are one forward pass; `output.greedy_ids` is `generate` without sampling. Where rows are
padded, logits are compared at tokens only (`padded.safetensors`): what stands at padding means nothing.

Each is converted in the default and in the portable form, and also fed in two halves with the cache in between.
"""

import cases  # before transformers: sets the environment

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

import torch
import transformers
from cases import save, shake
from safetensors.torch import load_file, save_file

FORMS = ["safetensors", "safetensors", "float16", "bfloat16", "bin", "sharded"]
# Family: name of its classes.
DECODERS = {"gpt2": "GPT2", "llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}
# Below this another order of summation may choose another token.
MARGIN = 1e-3


def rotation(lot: random.Random, positions: int, width: int) -> dict:
    kind = lot.choice(["default", "default", "linear", "llama3", "yarn", "yarn", "dynamic"])
    if kind == "dynamic" and width == 2:  # transformers divides by width - 2
        kind = "default"
    numbers = {"rope_type": kind, "rope_theta": lot.choice([10000.0, 500.0, 1e6])}
    if kind != "default":
        numbers["factor"] = lot.choice([2.0, 4.0, 8.0])
    if kind in ("llama3", "yarn"):
        numbers["original_max_position_embeddings"] = lot.choice([positions // 2, 16])
    if kind == "llama3":
        numbers |= {"low_freq_factor": 1.0, "high_freq_factor": lot.choice([2.0, 4.0])}
    if kind == "yarn":
        more = {"beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 1.3, "truncate": False}
        numbers |= {key: value for key, value in more.items() if lot.random() < 0.3}
        if lot.random() < 0.3:
            numbers |= {"mscale": 0.7, "mscale_all_dim": 1.2}
    return numbers


def config_of(family: str, lot: random.Random) -> transformers.PretrainedConfig:
    heads = lot.choice([1, 2, 4, 8])
    width = lot.choice([2, 4, 6, 8, 8, 16])
    vocab = lot.randint(40, 150)
    positions = lot.choice([64, 100, 600])
    common = {"vocab_size": vocab, "tie_word_embeddings": lot.random() < 0.5, "bos_token_id": 0}
    common["eos_token_id"] = lot.choice([1, [1, 2, 3], list(range(4, 4 + vocab // 8)), None])
    common["pad_token_id"] = lot.choice([None, vocab - 1])
    activation = lot.choice(["silu", "silu", "gelu", "gelu_new", "relu"])
    if family == "gpt2":
        common |= {
            "n_embd": heads * width,
            "n_head": heads,
            "n_layer": lot.randint(1, 4),
            "n_positions": positions,
            "n_inner": lot.choice([None, lot.randint(5, 60)]),
            "activation_function": lot.choice(["gelu_new", "gelu_new", "gelu", "relu", "silu"]),
            "layer_norm_epsilon": lot.choice([1e-5, 1e-3]),
            "scale_attn_weights": lot.random() < 0.8,
            "scale_attn_by_inverse_layer_idx": lot.random() < 0.3,
            "reorder_and_upcast_attn": lot.random() < 0.2,
        }
    else:
        common |= {
            # Not always the width of all heads together.
            "hidden_size": heads * lot.choice([width, width, 2 * width, 6]),
            "num_attention_heads": heads,
            "num_key_value_heads": lot.choice([g for g in (1, 2, 4, 8) if heads % g == 0]),
            "head_dim": width,
            "num_hidden_layers": lot.randint(1, 4),
            "intermediate_size": lot.randint(5, 60),
            "hidden_act": activation,
            "rms_norm_eps": lot.choice([1e-6, 1e-5, 1e-3]),
            "max_position_embeddings": positions,
            "rope_parameters": rotation(lot, positions, width),
        }
        if family in ("llama", "qwen3"):
            common["attention_bias"] = lot.random() < 0.4
        if family == "llama":
            common["mlp_bias"] = lot.random() < 0.4
        if family == "mistral":
            common["sliding_window"] = lot.choice([None, positions])
    return getattr(transformers, f"{DECODERS[family]}Config")(**common)


def older(folder: Path, lot: random.Random) -> None:
    """Rewrites the rotation as configurations before transformers 5 have it."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    numbers = config.pop("rope_parameters", None)
    if numbers is None:
        return
    config["rope_theta"] = numbers.pop("rope_theta")
    kind = numbers.pop("rope_type")
    key = lot.choice(["type", "rope_type"])
    config["rope_scaling"] = None if kind == "default" else numbers | {key: kind}
    path.write_text(json.dumps(config, indent=2))


@torch.inference_mode()
def decoder(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    config = config_of(family, lot)
    model = getattr(transformers, f"{DECODERS[family]}{'LMHeadModel' if family == 'gpt2' else 'ForCausalLM'}")(config)
    shake(model, generator)
    model.generation_config.repetition_penalty = lot.choice([None, None, 1.3])
    form = lot.choice(FORMS)
    save(model, folder, form)
    model.generation_config.save_pretrained(folder)
    if lot.random() < 0.4:
        older(folder, lot)
    # As its readers get it: rounding a model in memory would round its rotation too.
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    rows, new = lot.choice([1, 1, 2, 3]), lot.choice([1, 12, 20])
    for _ in range(50):
        longest = lot.choice([1, 7, 30, config.max_position_embeddings - new])
        ids = torch.randint(0, config.vocab_size - 1, (rows, longest), generator=generator)
        mask = torch.ones_like(ids)
        for row in range(1, rows):
            mask[row, : lot.randint(0, longest - 1)] = 0
        pad = config.pad_token_id if config.pad_token_id is not None else 0
        ids[mask == 0] = pad
        inputs = {"input_ids": ids, "attention_mask": mask}
        settings = {"do_sample": False, "max_new_tokens": new, "output_scores": True, "return_dict_in_generate": True}
        answered = model.generate(**inputs, **settings)
        best = torch.stack(answered.scores).topk(2).values
        if (best[..., 0] - best[..., 1]).min() > MARGIN:
            break
    else:
        raise RuntimeError("no prompt without a near tie")
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = model(**inputs, position_ids=positions).logits
    outputs = {"greedy_ids": answered.sequences}
    padded = bool((mask == 0).any())
    if padded:
        inputs["position_ids"] = positions
        save_file({"logits": logits.contiguous(), "mask": mask}, folder / "padded.safetensors")
    else:
        outputs["logits"] = logits
        inputs = {key: value for key, value in inputs.items() if key == "input_ids" or lot.random() < 0.5}
    cases.write_io(folder, inputs, outputs, [])
    return f"{family} {getattr(config, 'rope_parameters', None) and config.rope_parameters['rope_type'] or 'learned'}"


def check_case(folder: Path, bevel: Path, bundle: Path) -> dict[str, float]:
    """Converts and judges one folder in both forms. Returns the largest difference of each output."""
    import onnx

    worst = {}
    run = lambda *arguments: subprocess.run([bevel, *arguments], capture_output=True, text=True)
    for form in ([], ["--portable"]):
        for command in (["convert", folder, "-o", bundle, *form], ["verify", bundle, "--io", folder / "io.safetensors"]):
            done = run(*command)
            if done.returncode:
                raise RuntimeError(f"{form} {done.stderr.strip()}\n{done.stdout}")
        graph = bundle / "model.onnx"
        onnx.checker.check_model(str(graph), full_check=True)
        domains = {opset.domain for opset in onnx.load(str(graph), load_external_data=False).opset_import}
        if form and domains != {""}:
            raise RuntimeError(f"portable, but uses {domains}")
        for name, gap in answers(graph, folder, bool(form)).items():
            worst[name] = max(gap, worst.get(name, 0.0))
    return worst


def answers(graph: Path, folder: Path, portable: bool) -> dict[str, float]:
    """Stock onnxruntime on the whole prompt, and on its halves with the cache in between."""
    import numpy as np
    import onnxruntime as ort

    io = load_file(folder / "io.safetensors")
    ids = io["input.input_ids"].numpy()
    rows, tokens = ids.shape
    if (folder / "padded.safetensors").exists():
        padded = load_file(folder / "padded.safetensors")
        reference, mask = padded["logits"].numpy(), padded["mask"].numpy()
    else:
        reference, mask = io["output.logits"].numpy(), np.ones_like(ids)
    positions = np.maximum(mask.cumsum(1) - 1, 0)
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    pasts = {i.name: [rows, *i.shape[1:2], 0, i.shape[3]] for i in session.get_inputs() if i.name.startswith("past")}
    empty = {name: np.zeros(shape, np.float32) for name, shape in pasts.items()}

    def feed(past: dict, start: int, end: int) -> dict:
        inputs = {"input_ids": ids[:, start:end], "attention_mask": mask[:, :end], "position_ids": positions[:, start:end]}
        return dict(zip(names, session.run(names, inputs | past)))

    found = {"logits": feed(empty, 0, tokens)["logits"]}
    # Several tokens behind a past: of one row only, in the default form.
    if tokens > 1 and (portable or rows == 1):
        half = feed(empty, 0, tokens // 2)
        past = {name: half[name.replace("past_key_values", "present")] for name in pasts}
        found["halves"] = np.concatenate([half["logits"], feed(past, tokens // 2, tokens)["logits"]], axis=1)
    worst = {}
    for name, logits in found.items():
        if not np.isfinite(logits).all():
            raise RuntimeError(f"{name} is not finite")
        gap = np.abs(logits - reference)[mask == 1]
        if not (gap <= 1e-4 + 1e-4 * np.abs(reference[mask == 1])).all():
            raise RuntimeError(f"{name} is off by {gap.max():.2e}, portable {portable}")
        worst[name] = float(gap.max())
    return worst


if __name__ == "__main__":
    sys.exit(cases.main(__doc__, {family: decoder for family in DECODERS}, check_case))
