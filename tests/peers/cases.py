#!/usr/bin/env python3
"""Random small checkpoints with what transformers answers on them, and the check of what Bevel converts them to.

`make` writes folders as their users have them: config.json, weights in one of several forms, and io.safetensors with
`input.NAME` and `output.NAME` from fp32 PyTorch on the stored weights. Depth, width, heads, vocabulary, labels, padding,
activation, epsilon and tying are drawn by lot; every bias and norm is random, so that none can be left out unseen.

`check` converts each with `bevel convert`, then asks three judges: `bevel verify`, the ONNX checker with shape inference,
and stock onnxruntime run here. Exits 1 when one of them says no.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import that reads it
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

# Suffix of a text encoder's class, and the outputs that its graph has.
HEADS = {
    "Model": ["last_hidden_state", "pooler_output"],
    "ForSequenceClassification": ["logits"],
    "ForTokenClassification": ["logits"],
    "ForQuestionAnswering": ["start_logits", "end_logits"],
    "ForMaskedLM": ["logits"],
}
# Family: classes without their head, its own further heads and their outputs' names in transformers, segment ids.
ENCODERS = {
    "bert": (["Bert"], {"ForPreTraining": {"logits": "prediction_logits"}}, True),
    "roberta": (["Roberta", "XLMRoberta", "Camembert"], {}, False),
    "distilbert": (["DistilBert"], {}, False),
    "mpnet": (["MPNet"], {}, False),
    "albert": (["Albert"], {"ForPreTraining": {"logits": "prediction_logits"}}, True),
    "electra": (["Electra"], {"ForPreTraining": {"logits": "logits"}}, True),
}
FORMS = ["safetensors", "safetensors", "float16", "bfloat16", "bin", "sharded", "other-head"]
ACTIVATIONS = ["gelu", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "relu", "silu"]


def config_of(family: str, name: str, lot: random.Random) -> transformers.PretrainedConfig:
    heads = lot.choice([1, 2, 3, 4])
    hidden = heads * lot.choice([4, 6, 8])
    vocab = lot.randint(40, 150)
    pad = lot.choice([0, 1, 1, 3])
    common = {
        "vocab_size": vocab,
        "max_position_embeddings": lot.choice([24, 40, 200]),
        "pad_token_id": pad,
        "num_labels": lot.randint(1, 7),
        "tie_word_embeddings": lot.random() < 0.8,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    if family == "distilbert":
        common |= {
            "dim": hidden,
            "n_heads": heads,
            "n_layers": lot.randint(1, 4),
            "hidden_dim": lot.randint(5, 60),
            "activation": lot.choice(ACTIVATIONS),
            "sinusoidal_pos_embds": lot.random() < 0.3,
        }
    else:
        common |= {
            "hidden_size": hidden,
            "num_attention_heads": heads,
            "num_hidden_layers": lot.randint(1, 4),
            "intermediate_size": lot.randint(5, 60),
            "hidden_act": lot.choice(ACTIVATIONS),
            "layer_norm_eps": lot.choice([1e-12, 1e-5, 1e-3]),
        }
        if family != "mpnet":
            common["type_vocab_size"] = lot.choice([1, 2, 3]) if family == "roberta" else lot.choice([2, 3])
    if family in ("albert", "electra"):
        common["embedding_size"] = lot.choice([hidden, 6, 10])
    if family == "albert":
        layers = common["num_hidden_layers"] = lot.choice([1, 2, 3, 4, 6])
        common["num_hidden_groups"] = lot.randint(1, min(3, layers))
        common["inner_group_num"] = lot.choice([1, 1, 2])
    return getattr(transformers, f"{name}Config")(**common)


def shake(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Moves every parameter, so that norms are not ones and biases not zeros."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


def text_inputs(config, types: bool, pad: int, lot: random.Random, generator: torch.Generator) -> dict[str, torch.Tensor]:
    longest = config.max_position_embeddings - pad - 1
    texts, tokens = lot.randint(1, 4), lot.choice([1, lot.randint(2, longest), longest])
    ids = torch.randint(0, config.vocab_size, (texts, tokens), generator=generator)
    ids[ids == pad] = (pad + 1) % config.vocab_size
    lengths = [tokens] + [lot.randint(1, tokens) for _ in range(texts - 1)]
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
    ids[mask == 0] = pad
    inputs = {"input_ids": ids, "attention_mask": mask}
    if types:
        inputs["token_type_ids"] = torch.randint(0, config.type_vocab_size, ids.shape, generator=generator)
    return inputs


def save(model, folder: Path, form: str) -> None:
    """The weights as `form` says; `model` keeps what a reader of that form would see."""
    if form in ("float16", "bfloat16"):
        model.to(getattr(torch, form)).save_pretrained(folder)
        model.float()
    elif form == "bin":
        model.config.save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text())
        config["architectures"] = [type(model).__name__]
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    elif form == "sharded":
        model.save_pretrained(folder, max_shard_size="6KB")
    else:
        model.save_pretrained(folder)


def encoder(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    """Writes one checkpoint of a text encoder. Returns what it is, for counting."""
    names, more, _ = ENCODERS[family]
    name = lot.choice(names)
    config = config_of(family, name, lot)
    suffix = lot.choice([*HEADS, *more])
    write_encoder(folder, family, name + suffix, config, lot.choice(FORMS), lot, generator)
    return f"{family} {suffix}"


@torch.inference_mode()
def write_encoder(folder: Path, family: str, name: str, config, form: str, lot: random.Random, generator: torch.Generator) -> None:
    """Writes the class `name` with random weights, and what it answers."""
    names, more, types = ENCODERS[family]
    suffix = next(name.removeprefix(prefix) for prefix in names if name.startswith(prefix))
    if suffix == "ForQuestionAnswering":
        config.num_labels = 2
    config._attn_implementation = "eager"
    model = getattr(transformers, name)(config).eval()
    shake(model, generator)
    save(model, folder, form)
    arguments = ["--quantize", "none"]
    # MPNet pads positions with 1 whatever the configuration says.
    pad = 1 if family == "mpnet" else config.pad_token_id
    inputs = text_inputs(config, types, pad, lot, generator)
    answered = model(**inputs)
    wanted = more.get(suffix) or {output: output for output in HEADS[suffix]}
    if form == "other-head" and suffix != "Model":
        # The encoder alone out of a checkpoint with a head, as the user may ask for.
        answered, wanted = model.base_model(**inputs), {output: output for output in HEADS["Model"]}
        arguments += ["--task", "tensors"]
    outputs = {name: getattr(answered, key, None) for name, key in wanted.items()}
    write_io(folder, inputs, outputs, arguments)


def write_io(folder: Path, inputs: dict, outputs: dict, arguments: list[str]) -> None:
    tensors = {f"input.{name}": tensor for name, tensor in inputs.items()}
    tensors |= {f"output.{name}": tensor for name, tensor in outputs.items() if tensor is not None}
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "io.safetensors")
    (folder / "case.json").write_text(json.dumps({"arguments": arguments}) + "\n")


def clip(folder: Path, _: str, lot: random.Random, generator: torch.Generator) -> str:
    """Writes a CLIP model, or one tower of it with or without its projection."""

    def tower() -> dict:
        heads = lot.choice([1, 2, 3])
        return {
            "hidden_size": heads * lot.choice([4, 6, 8]),
            "num_attention_heads": heads,
            "num_hidden_layers": lot.randint(1, 4),
            "intermediate_size": lot.randint(5, 60),
            "hidden_act": lot.choice(["quick_gelu", "quick_gelu", "gelu", "gelu_new"]),
            "layer_norm_eps": lot.choice([1e-5, 1e-3]),
            "projection_dim": lot.randint(3, 20),
        }

    vocab, patch = lot.randint(40, 150), lot.choice([4, 5, 8])
    # 2 is what old configurations say: the largest id then ends a text.
    end = lot.choice([2, vocab - 1, lot.randint(4, vocab - 1)])
    text = transformers.CLIPTextConfig(
        vocab_size=vocab, max_position_embeddings=lot.choice([8, 20, 77]), eos_token_id=end, bos_token_id=0, **tower()
    )
    vision = transformers.CLIPVisionConfig(
        image_size=patch * lot.randint(1, 4) + lot.choice([0, 0, 2]), patch_size=patch, num_channels=lot.choice([3, 3, 1]), **tower()
    )
    both = transformers.CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=lot.randint(3, 20), logit_scale_init_value=lot.uniform(0, 4.6)
    )
    name = lot.choice(["CLIPModel", *CLIP])
    config = both if name == "CLIPModel" else text if "Text" in name else vision
    write_clip(folder, name, config, lot.choice([form for form in FORMS if form != "other-head"]), lot, generator)
    return f"clip {name}"


CLIP = {
    "CLIPModel": ["text_embeds", "image_embeds", "logits_per_image"],
    "CLIPTextModelWithProjection": ["text_embeds", "last_hidden_state"],
    "CLIPTextModel": ["pooler_output", "last_hidden_state"],
    "CLIPVisionModelWithProjection": ["image_embeds", "last_hidden_state"],
    "CLIPVisionModel": ["pooler_output", "last_hidden_state"],
}


@torch.inference_mode()
def write_clip(folder: Path, name: str, config, form: str, lot: random.Random, generator: torch.Generator) -> None:
    """Writes the class `name` with random weights, and what it answers."""
    config._attn_implementation = "eager"
    model = getattr(transformers, name)(config).eval()
    shake(model, generator)
    save(model, folder, form)
    inputs = {}
    if "Vision" not in name:
        text = getattr(config, "text_config", config)
        end, last = text.eos_token_id, text.vocab_size - 1
        texts, tokens = lot.randint(1, 4), lot.randint(2, text.max_position_embeddings)
        ids = torch.randint(0, text.vocab_size, (texts, tokens), generator=generator)
        mask = torch.zeros_like(ids)
        for row in range(texts):
            length = lot.randint(2, tokens)
            ids[row, length - 1] = last if end == 2 else end
            mask[row, :length] = 1
        ids[mask == 0] = lot.choice([1, end])
        inputs |= {"input_ids": ids, "attention_mask": mask}
    if "Text" not in name:
        vision = getattr(config, "vision_config", config)
        size = (lot.randint(1, 3), vision.num_channels, vision.image_size, vision.image_size)
        inputs["pixel_values"] = torch.randn(size, generator=generator)
    answered = model(**inputs)
    write_io(folder, inputs, {output: answered[output] for output in CLIP[name]}, ["--quantize", "none"])


FAMILIES = {family: encoder for family in ENCODERS} | {"clip": clip}


def make(args: argparse.Namespace) -> None:
    made = Counter()
    for number in range(args.count):
        family = args.family[number % len(args.family)]
        folder = args.out / f"{family}-{number:04}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        seed = args.seed * 1_000_000 + number
        torch.manual_seed(seed)
        made[args.families[family](folder, family, random.Random(seed), torch.Generator().manual_seed(seed))] += 1
    for what, count in sorted(made.items()):
        print(f"{count:5} {what}")


def check_case(folder: Path, bevel: Path, bundle: Path, answers=None) -> dict[str, float]:
    """Converts and judges one folder. Returns the largest difference of each output; `answers` computes them from graphs and recording."""
    import onnx

    case = json.loads((folder / "case.json").read_text()) if (folder / "case.json").exists() else {"arguments": []}
    run = lambda *arguments: subprocess.run([bevel, *arguments], capture_output=True, text=True)
    converted = run("convert", folder, "-o", bundle, *case["arguments"])
    if converted.returncode:
        raise RuntimeError(converted.stderr.strip())
    graphs = sorted(bundle.glob("*.onnx"))
    for graph in graphs:
        onnx.checker.check_model(str(graph), full_check=True)
    worst = (answers or onnxruntime_answers)(graphs, load_file(folder / "io.safetensors"))
    verified = run("verify", bundle, "--io", folder / "io.safetensors")
    if verified.returncode:
        raise RuntimeError(verified.stderr.strip() + "\n" + verified.stdout)
    return worst


def onnxruntime_answers(graphs: list[Path], io: dict[str, torch.Tensor]) -> dict[str, float]:
    """Runs the graphs as their inputs become known and compares every recorded output."""
    import numpy as np
    import onnxruntime as ort

    part = lambda side: {n.removeprefix(side): t.numpy() for n, t in io.items() if n.startswith(side)}
    known, expected, answered = part("input."), part("output."), {}
    sessions = [ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"]) for graph in graphs]
    while ready := [s for s in sessions if all(i.name in known for i in s.get_inputs())]:
        session = ready[0]
        sessions.remove(session)
        names = [output.name for output in session.get_outputs()]
        outputs = dict(zip(names, session.run(names, {i.name: known[i.name] for i in session.get_inputs()})))
        answered |= outputs
        known = outputs | known
    if sessions:
        raise RuntimeError(f"never ran: {[[i.name for i in s.get_inputs()] for s in sessions]}")
    worst = {}
    for name, reference in expected.items():
        found = answered[name]
        if found.shape != reference.shape:
            raise RuntimeError(f"{name} is {found.shape}, expected {reference.shape}")
        gap = np.abs(found - reference)
        if not (gap <= 1e-4 + 1e-4 * np.abs(reference)).all():
            raise RuntimeError(f"{name} is off by {gap.max():.2e}")
        worst[name] = float(gap.max())
    return worst


def check(args: argparse.Namespace) -> int:
    folders = sorted(path.parent for path in args.out.glob("*/io.safetensors"))
    failures, largest = 0, Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders:
            try:
                worst = args.check_case(folder, args.bevel, Path(scratch) / "case.bevel")
                family = folder.name.split("-")[0]
                largest[family] = max(largest[family], *worst.values())
            except Exception as error:  # each case on its own, whatever is wrong with it
                failures += 1
                print(f"{folder.name}: {error}")
    print(f"{len(folders) - failures} of {len(folders)} right; largest |a-b|:")
    print(", ".join(f"{family} {gap:.1e}" for family, gap in sorted(largest.items())))
    return 1 if failures or not folders else 0


def main(doc: str, families: dict, check_case=check_case) -> int:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make", help="write checkpoints")
    command.add_argument("out", type=Path)
    command.add_argument("--family", action="append", choices=families)
    command.add_argument("--count", type=int, default=120)
    command.add_argument("--seed", type=int, default=0)
    command.set_defaults(run=make)
    command = commands.add_parser("check", help="convert and compare them")
    command.add_argument("out", type=Path)
    command.add_argument("--bevel", type=Path, default=Path("target/release/bevel"))
    command.set_defaults(run=check)
    args = parser.parse_args()
    args.families, args.check_case = families, check_case
    if getattr(args, "family", False) is None:
        args.family = list(families)
    return args.run(args) or 0


if __name__ == "__main__":
    sys.exit(main(__doc__, FAMILIES))
