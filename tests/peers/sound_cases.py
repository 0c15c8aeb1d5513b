#!/usr/bin/env python3
"""Random small checkpoints of speech families with what transformers, torchaudio and PyTorch answer on them, and the check of
what Bevel converts them to. Works as `cases.py` does, which holds what both share.

Beyond that, `check` walks the graphs that remember: a Moonshine decoder token by token and a WaveNet sample by sample must
give what the whole sequence gave.
"""

import importlib.util
import json
import os
import random
import sys
from pathlib import Path

import cases
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from cases import shake, write_io
from safetensors.torch import save_file

WEIGHT_NORMS = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
ACTIVATIONS = ["gelu", "gelu", "gelu_new", "relu", "silu"]


def state_dict(folder: Path, model, form: str, rename=lambda name: name) -> None:
    """config.json and the weights as `form` says; `model` keeps what a reader of that form would see."""
    model.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": [type(model).__name__]}, indent=2))
    if form in ("float16", "bfloat16"):
        model.to(getattr(torch, form))
    state = {rename(name): tensor.clone() for name, tensor in model.state_dict().items()}
    if form == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model.float()


@torch.inference_mode()
def wav2vec2(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    name = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert"}[family]
    heads = lot.choice([1, 2, 3, 4])
    groups = lot.choice([1, 2, 4])
    hidden = 4 * heads * lot.choice([1, 2, 3])
    convs = lot.randint(1, 5)
    first = lot.choice([(10, 5), (7, 4), (3, 3)])
    rest = [(k, s) for k, s in [(3, 2), (2, 2), (1, 1), (4, 3)]]
    sizes = [first] + [lot.choice(rest) for _ in range(convs - 1)]
    batch_norm = family == "hubert" and lot.random() < 0.3
    common = {
        "vocab_size": lot.randint(5, 60),
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_hidden_layers": lot.randint(1, 3),
        "intermediate_size": lot.randint(5, 60),
        "hidden_act": lot.choice(ACTIVATIONS),
        "feat_extract_activation": lot.choice(ACTIVATIONS),
        "feat_extract_norm": lot.choice(["group", "layer"]),
        "conv_dim": [lot.choice([4, 8, 12]) for _ in range(convs)],
        "conv_kernel": [k for k, _ in sizes],
        "conv_stride": [s for _, s in sizes],
        "conv_bias": lot.random() < 0.5,
        "do_stable_layer_norm": lot.random() < 0.5,
        "num_conv_pos_embeddings": lot.choice([1, 2, 3, 8, 9, 16, 17]),
        "num_conv_pos_embedding_groups": groups,
        "layer_norm_eps": lot.choice([1e-12, 1e-5, 1e-3]),
        "num_labels": lot.randint(1, 7),
        "classifier_proj_size": lot.randint(3, 20),
        "codevector_dim": 8,
        "proj_codevector_dim": 8,
        "num_codevectors_per_group": 4,
    }
    if family == "hubert":
        common |= {"feat_proj_layer_norm": lot.random() < 0.5, "conv_pos_batch_norm": batch_norm}
    suffixes = ["ForCTC", "ForCTC", "ForCTC", "Model", "ForSequenceClassification"]
    suffixes += ["ForAudioFrameClassification", "ForPreTraining"] if family == "wav2vec2" else []
    suffix = lot.choice(suffixes)
    config = getattr(transformers, f"{name}Config")(**common)
    config._attn_implementation = "eager"
    model = getattr(transformers, name + suffix)(config).eval()
    shake(model, generator)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.2, 2.0, generator=generator)
    form = lot.choice(["safetensors", "float16", "bfloat16", "bin", "old"])

    def rename(key: str) -> str:
        for new, old in WEIGHT_NORMS.items():
            key = key.replace(new, old) if form == "old" else key
        return key

    state_dict(folder, model, form, rename)
    masked = lot.random() < 0.4
    if masked:
        front_end = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
        front_end.save_pretrained(folder)
    # The shortest sound has one frame; frames of some kilosamples must not make attention large.
    shortest, hop = 1, 1
    for kernel, stride in reversed(sizes):
        shortest = (shortest - 1) * stride + kernel
        hop *= stride
    sounds, longest = lot.randint(1, 3), shortest + hop * lot.choice([0, 1, 7, 60, 500]) + lot.randint(0, hop)
    longest = max(longest, first[0] + first[1])  # PyTorch refuses a group norm over one value
    inputs = {"input_values": torch.randn(sounds, longest, generator=generator)}
    if masked:
        lengths = [longest] + [lot.randint(shortest, longest) for _ in range(sounds - 1)]
        mask = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
        inputs = {"input_values": inputs["input_values"] * mask, "attention_mask": mask.long()}
    if suffix == "ForPreTraining":
        outputs = {"last_hidden_state": model.wav2vec2(**inputs).last_hidden_state}
    else:
        answered = model(**inputs)
        outputs = {key: getattr(answered, key, None) for key in ("logits", "last_hidden_state")}
    write_io(folder, inputs, outputs, ["--quantize", "none"])
    return f"{family} {suffix}"


@torch.inference_mode()
def moonshine(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    """Encoder and decoder are stock transformers, each with its own number of heads; heads that share keys are theirs with
    the keys repeated, because transformers 5.23 cannot run fewer keys than queries."""
    width = lot.choice([4, 6, 8, 9])
    heads = [lot.choice([1, 2, 4]) for _ in range(2)]
    if lot.random() < 0.6:
        heads = [heads[0]] * 2
    same = heads[0] == heads[1]
    hidden = heads[0] * width
    partial = lot.choice([0.5, 0.62, 0.9, 0.9]) if width != 9 else lot.choice([0.5, 0.8])
    rope = {"rope_type": "default", "rope_theta": lot.choice([10000.0, 500.0]), "partial_rotary_factor": partial}
    common = {
        "vocab_size": lot.randint(40, 90),
        "hidden_size": hidden,
        "intermediate_size": lot.randint(5, 60),
        "encoder_num_hidden_layers": lot.randint(1, 3),
        "decoder_num_hidden_layers": lot.randint(1, 3),
        "attention_bias": lot.random() < 0.3,
        "encoder_hidden_act": lot.choice(ACTIVATIONS),
        "decoder_hidden_act": lot.choice(ACTIVATIONS),
        "rope_parameters": rope,
        "head_dim": None if same and lot.random() < 0.7 else width,
        "pad_head_dim_to_multiple_of": lot.choice([None, None, 8]),
        "tie_word_embeddings": lot.random() < 0.7,
        "max_position_embeddings": 64,
    }
    if common["head_dim"] is None:
        del common["head_dim"]
    models = []
    for side in heads:
        torch.manual_seed(lot.randint(0, 1 << 30))
        config = transformers.MoonshineConfig(
            **common, encoder_num_attention_heads=side, decoder_num_attention_heads=side
        )
        config._attn_implementation = "eager"
        models.append(transformers.MoonshineForConditionalGeneration(config).eval())
        shake(models[-1], generator)
    encoder, decoder = models if not same else [models[0]] * 2
    key_heads = [lot.choice([h for h in (1, 2, 4) if side % h == 0]) if lot.random() < 0.4 else side for side in heads]
    form = lot.choice(["safetensors", "float16", "bfloat16", "bin"])
    if form in ("float16", "bfloat16"):
        # Parameters alone: the speeds of the rotary embedding are made anew when a checkpoint is read.
        for parameter in [p for model in (encoder, decoder) for p in model.parameters()]:
            parameter.copy_(parameter.to(getattr(torch, form)))
    state = {}
    for model, part, side, keys in zip((encoder, decoder), ("encoder", "decoder"), heads, key_heads):
        for key, tensor in model.state_dict().items():
            if key == "proj_out.weight" and (part == "encoder" or model.config.tie_word_embeddings):
                continue
            if key != "proj_out.weight" and not key.startswith(f"model.{part}."):
                continue
            if keys < side and ("k_proj" in key or "v_proj" in key):
                shared = tensor.view(keys, side // keys, width, *tensor.shape[1:])
                shared.copy_(shared[:, :1].clone())  # in the model itself: the reference then has equal keys
                tensor = shared[:, 0].reshape(keys * width, *tensor.shape[1:])
            state[key] = tensor.clone().to(getattr(torch, form, torch.float32))
    if form == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    written = decoder.config.to_dict() | {"architectures": ["MoonshineForConditionalGeneration"]}
    for part, side, keys in zip(("encoder", "decoder"), heads, key_heads):
        written |= {f"{part}_num_attention_heads": side, f"{part}_num_key_value_heads": keys}
    if lot.random() < 0.3:
        # As before transformers 5.
        del written["rope_parameters"]
        written |= {"rope_theta": rope["rope_theta"], "partial_rotary_factor": partial, "rope_scaling": None}
    (folder / "config.json").write_text(json.dumps(written, indent=2, default=str))
    sounds, tokens = lot.randint(1, 3), lot.randint(1, 12)
    samples = lot.choice([895, 1278, 1279, 5000, 16000, 16000 * 20])
    inputs = {
        "input_values": torch.randn(sounds, samples, generator=generator) * 0.3,
        "decoder_input_ids": torch.randint(0, common["vocab_size"], (sounds, tokens), generator=generator),
    }
    hidden_states = encoder.model.encoder(inputs["input_values"]).last_hidden_state
    decoded = decoder.model.decoder(inputs["decoder_input_ids"], encoder_hidden_states=hidden_states).last_hidden_state
    outputs = {"encoder_last_hidden_state": hidden_states, "logits": decoder.proj_out(decoded)}
    write_io(folder, inputs, outputs, ["--quantize", "none"])
    return f"moonshine {'MHA' if key_heads == heads else 'GQA'}"


def torchaudio_deepspeech():
    """`models/deepspeech.py` of an unpacked torchaudio 2.11, alone: installed, the package needs a PyTorch of its own release."""
    file = Path(os.environ["TORCHAUDIO"]) / "models" / "deepspeech.py"
    spec = importlib.util.spec_from_file_location("deepspeech", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DeepSpeech


@torch.inference_mode()
def deepspeech(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    features = lot.choice([1, 13, 26, 80])
    model = torchaudio_deepspeech()(features, n_hidden=lot.choice([3, 16, 48]), n_class=lot.randint(2, 40)).eval()
    for parameter in model.parameters():
        parameter.mul_(lot.choice([1.0, 2.0]))  # larger ones reach the clip
    form = lot.choice(["float32", "float16", "bfloat16"])
    model.to(getattr(torch, form))
    torch.save(model.state_dict(), folder / "model.pt")
    model.float()
    sounds, frames = lot.randint(1, 3), lot.choice([1, 2, 30, 200])
    x = torch.randn(sounds, 1, frames, features, generator=generator) * lot.choice([1.0, 10.0])
    write_io(folder, {"features": x}, {"log_probs": model(x)}, [])
    return "deepspeech"


@torch.inference_mode()
def wavenet(folder: Path, family: str, lot: random.Random, generator: torch.Generator) -> str:
    """Equations 2 and figure 4 of the paper, as the golden case has them (its logits come out to the bit)."""
    codes, channels, skips, kernel = lot.choice([16, 256]), lot.randint(2, 20), lot.randint(2, 24), lot.choice([1, 2, 2, 3])
    dilations = [lot.choice([1, 2, 4, 8, 16, 3]) for _ in range(lot.randint(1, 9))]
    shapes = {"embed.weight": (codes, channels)}
    for i in range(len(dilations)):
        for part, rows, taps in (("filter", channels, kernel), ("gate", channels, kernel)):
            shapes[f"blocks.{i}.conv_{part}.weight"] = (rows, channels, taps)
        shapes[f"blocks.{i}.conv_residual.weight"] = (channels, channels, 1)
        shapes[f"blocks.{i}.conv_skip.weight"] = (skips, channels, 1)
    shapes |= {"post1.weight": (skips, skips, 1), "post2.weight": (codes, skips, 1)}
    state = {}
    for name, shape in shapes.items():
        # Of the size that training begins with: larger ones make f32 itself wrong by more than the tolerance.
        state[name] = torch.randn(shape, generator=generator) / (shape[-1] * shape[-2]) ** 0.5
        if name != "embed.weight":
            state[name.replace("weight", "bias")] = torch.randn(shape[0], generator=generator) * 0.1
    torch.save(state, folder / "model.pt")
    config = {"quantization_channels": codes, "residual_channels": channels, "skip_channels": skips}
    config |= {"architecture": "wavenet", "kernel_size": kernel, "dilations": dilations}
    (folder / "config.json").write_text(json.dumps(config))

    ids = torch.randint(0, codes, (lot.randint(1, 3), lot.choice([1, 5, 70])), generator=generator)
    conv = lambda x, name, **how: F.conv1d(x, state[f"{name}.weight"], state[f"{name}.bias"], **how)  # noqa: E731
    x, total = F.embedding(ids, state["embed.weight"]).transpose(1, 2), 0
    for i, dilation in enumerate(dilations):
        name = f"blocks.{i}.conv_"
        heard = F.pad(x, ((kernel - 1) * dilation, 0))
        gated = torch.tanh(conv(heard, f"{name}filter", dilation=dilation))
        gated = gated * torch.sigmoid(conv(heard, f"{name}gate", dilation=dilation))
        total = total + conv(gated, f"{name}skip")
        x = x + conv(gated, f"{name}residual")
    logits = conv(F.relu(conv(F.relu(total), "post1")), "post2")
    write_io(folder, {"mu_law_ids": ids}, {"logits": logits}, [])
    return "wavenet"


FAMILIES = {"wav2vec2": wav2vec2, "hubert": wav2vec2, "moonshine": moonshine, "deepspeech": deepspeech, "wavenet": wavenet}


def session(path: Path):
    import onnxruntime as ort

    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def close(found: np.ndarray, reference: np.ndarray, what: str) -> float:
    if found.shape != reference.shape:
        raise RuntimeError(f"{what} is {found.shape}, expected {reference.shape}")
    gap = np.abs(found - reference)
    if not (gap <= 1e-4 + 1e-4 * np.abs(reference)).all():
        raise RuntimeError(f"{what} is off by {gap.max():.2e}")
    return float(gap.max())


def walk_moonshine(graphs: list[Path], io: dict[str, torch.Tensor]) -> dict[str, float]:
    """The decoder on a prompt, then token by token."""
    decoder, encoder = map(session, graphs)
    hidden = encoder.run(None, {"input_values": io["input.input_values"].numpy()})[0]
    worst = {"hidden": close(hidden, io["output.encoder_last_hidden_state"].numpy(), "encoder")}
    ids = io["input.decoder_input_ids"].numpy()
    shape = lambda info: [len(ids), info.shape[1], 0, info.shape[3]]  # noqa: E731
    past = {i.name: np.zeros(shape(i), np.float32) for i in decoder.get_inputs() if i.name.startswith("past")}
    names = [output.name for output in decoder.get_outputs()]
    prompt = 1 + len(ids[0]) // 3
    answered, at = [], 0
    while at < ids.shape[1]:
        end = prompt if at == 0 else at + 1
        feed = {"input_ids": ids[:, at:end], "encoder_hidden_states": hidden} | past
        outputs = dict(zip(names, decoder.run(names, feed)))
        answered.append(outputs["logits"])
        for name in past:
            present = outputs[name.replace("past_key_values", "present")]
            if ".encoder." not in name:
                past[name] = present
            elif at == 0:
                past[name] = present
                assert present.shape[2] == hidden.shape[1], (name, present.shape)
            else:
                assert present.shape[2] == 0, (name, present.shape)
        at = end
    return worst | {"logits": close(np.concatenate(answered, 1), io["output.logits"].numpy(), "token by token")}


def walk_wavenet(graphs: list[Path], io: dict[str, torch.Tensor]) -> dict[str, float]:
    """The whole sequence, and the step graph some samples at a time."""
    whole, step = map(session, graphs)
    ids, logits, lot = io["input.mu_law_ids"].numpy(), io["output.logits"].numpy(), random.Random(0)
    worst = {"whole": close(whole.run(None, {"mu_law_ids": ids})[0], logits, "whole")}
    queues = {i.name: np.zeros([len(ids), *i.shape[1:]], np.float32) for i in step.get_inputs()[1:]}
    names = [output.name for output in step.get_outputs()]
    answered, at = [], 0
    while at < ids.shape[1]:
        end = at + lot.choice([1, 1, 2, 9])
        outputs = dict(zip(names, step.run(names, {"mu_law_ids": ids[:, at:end]} | queues)))
        answered.append(outputs["logits"])
        queues = {name: outputs[f"next_{name}"] for name in queues}
        at = end
    return worst | {"steps": close(np.concatenate(answered, 2), logits, "step by step")}


WALKS = {"moonshine": walk_moonshine, "wavenet": walk_wavenet}


def check_case(folder: Path, bevel: Path, bundle: Path) -> dict[str, float]:
    return cases.check_case(folder, bevel, bundle, WALKS.get(folder.name.split("-")[0]))


if __name__ == "__main__":
    sys.exit(cases.main(__doc__, FAMILIES, check_case))
