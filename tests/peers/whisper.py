#!/usr/bin/env python3
"""Whisper from a CTranslate2 folder (model.bin, config.json, tokenizer.json) in fp32, by transformers.

  whisper.py save       CT2 OUT      the same model as transformers saves it: model.safetensors, config.json, tokenizer.json …
  whisper.py transcribe CT2 SPEECH   greedy, English, no timestamps, whole files; token ids, text and word error rate as JSON

SPEECH is a folder as sound.py describes it. The weights are widened from their fp16; nothing else is changed.
"""

import argparse
import json
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

import measure
from sound import RATE, error_rates, read, resample, rows

DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Every variable of a CTranslate2 model.bin of version 6: name, shape, type, bytes; then aliases."""
    data = memoryview(path.read_bytes())
    place = 0

    def take(form: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from("<" + form, data, place)
        place += struct.calcsize(form)
        return value

    def text() -> str:
        nonlocal place
        length = take("H")
        place += length
        return bytes(data[place - length : place - 1]).decode()

    version, spec, _, count = take("I"), text(), take("I"), take("I")
    assert version == 6 and spec == "WhisperSpec", (version, spec)
    found = {}
    for _ in range(count):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        dtype, size = np.dtype(DTYPES[take("B")]), take("I")
        found[name] = np.frombuffer(data[place : place + size], dtype).reshape(shape)
        place += size
    for _ in range(take("I")):
        alias, name = text(), text()
        found[alias] = found[name]
    return found


def state_dict(found: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """CTranslate2's names to those of transformers; fused projections are cut apart, keys have no bias."""
    state = {}

    def put(name: str, value: np.ndarray) -> None:
        state[f"model.{name}"] = torch.from_numpy(value.astype(np.float32))

    def linear(to: list[str], at: str) -> None:
        weights = np.split(found[f"{at}/weight"], len(to))
        biases = np.split(found[f"{at}/bias"], len(to))
        for name, weight, bias in zip(to, weights, biases):
            put(f"{name}.weight", weight)
            if name.endswith("k_proj"):
                assert not bias.any(), name
            else:
                put(f"{name}.bias", bias)

    def norm(to: str, at: str) -> None:
        put(f"{to}.weight", found[f"{at}/gamma"])
        put(f"{to}.bias", found[f"{at}/beta"])

    for side in ("encoder", "decoder"):
        put(f"{side}.embed_positions.weight", found[f"{side}/position_encodings/encodings"])
        norm(f"{side}.layer_norm", f"{side}/layer_norm")
        layer = 0
        while f"{side}/layer_{layer}/ffn/linear_0/weight" in found:
            at, to = f"{side}/layer_{layer}", f"{side}.layers.{layer}"
            linear([f"{to}.self_attn.{x}_proj" for x in "qkv"], f"{at}/self_attention/linear_0")
            linear([f"{to}.self_attn.out_proj"], f"{at}/self_attention/linear_1")
            norm(f"{to}.self_attn_layer_norm", f"{at}/self_attention/layer_norm")
            if side == "decoder":
                linear([f"{to}.encoder_attn.q_proj"], f"{at}/attention/linear_0")
                linear([f"{to}.encoder_attn.{x}_proj" for x in "kv"], f"{at}/attention/linear_1")
                linear([f"{to}.encoder_attn.out_proj"], f"{at}/attention/linear_2")
                norm(f"{to}.encoder_attn_layer_norm", f"{at}/attention/layer_norm")
            linear([f"{to}.fc1"], f"{at}/ffn/linear_0")
            linear([f"{to}.fc2"], f"{at}/ffn/linear_1")
            norm(f"{to}.final_layer_norm", f"{at}/ffn/layer_norm")
            layer += 1
    for conv in ("conv1", "conv2"):
        put(f"encoder.{conv}.weight", found[f"encoder/{conv}/weight"])
        put(f"encoder.{conv}.bias", found[f"encoder/{conv}/bias"])
    put("decoder.embed_tokens.weight", found["decoder/embeddings/weight"])
    return state


def load(folder: Path) -> tuple[WhisperForConditionalGeneration, WhisperFeatureExtractor, Tokenizer]:
    """The model with the generation settings of its config.json, its front end and its tokenizer."""
    found = tensors(folder / "model.bin")
    settings = json.loads((folder / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items()}
    state = state_dict(found)
    layers = {side: sum(f"{side}/layer_{i}/ffn/linear_0/weight" in found for i in range(100)) for side in ("encoder", "decoder")}
    end = special["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=len(found["decoder/embeddings/weight"]),
        num_mel_bins=found["encoder/conv1/weight"].shape[1],
        d_model=found["encoder/conv1/weight"].shape[0],
        encoder_layers=layers["encoder"],
        decoder_layers=layers["decoder"],
        encoder_attention_heads=int(found["encoder/num_heads"]),
        decoder_attention_heads=int(found["decoder/num_heads"]),
        encoder_ffn_dim=len(found["encoder/layer_0/ffn/linear_0/weight"]),
        decoder_ffn_dim=len(found["decoder/layer_0/ffn/linear_0/weight"]),
        max_source_positions=len(found["encoder/position_encodings/encodings"]),
        max_target_positions=len(found["decoder/position_encodings/encodings"]),
        decoder_start_token_id=special["<|startoftranscript|>"],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    model = WhisperForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing in ([], ["proj_out.weight"]) and not unexpected, (missing, unexpected)  # the output is tied
    model.tie_weights()
    model.eval()
    languages = {name: number for name, number in special.items() if number in settings["lang_ids"]}
    model.generation_config = GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=special["<|startoftranscript|>"],
        is_multilingual=True,
        lang_to_id=languages,
        task_to_id={"transcribe": special["<|transcribe|>"], "translate": special["<|translate|>"]},
        no_timestamps_token_id=special["<|notimestamps|>"],
        suppress_tokens=settings["suppress_ids"],
        begin_suppress_tokens=settings["suppress_ids_begin"],
        alignment_heads=settings["alignment_heads"],
        max_length=config.max_target_positions,
    )
    return model, WhisperFeatureExtractor(feature_size=config.num_mel_bins), tokenizer


@torch.inference_mode()
def transcribe(folder: Path, speech: Path) -> dict:
    """Token ids (special tokens left out) and text of every file, word error rate, time of each half."""
    model, front_end, tokenizer = load(folder)
    files = []
    for name, _ in rows(speech):
        samples = resample(*read(speech / name))
        features = front_end(samples, sampling_rate=RATE, return_tensors="pt").input_features
        start = time.perf_counter()
        model.model.encoder(features)
        encoder = time.perf_counter() - start
        start = time.perf_counter()
        ids = model.generate(features, language="en", task="transcribe", do_sample=False, num_beams=1)[0].tolist()
        both = time.perf_counter() - start
        ids = [i for i in ids if i < model.config.eos_token_id]
        text = tokenizer.decode(ids, skip_special_tokens=True).strip()
        ms = {"encoder": round(1e3 * encoder, 1), "both": round(1e3 * both, 1)}
        files.append({"file": name, "seconds": round(len(samples) / RATE, 2), "ms": ms, "ids": ids, "text": text})
    peak = round(measure.peak_memory_mib(), 1)
    return {"files": files, **error_rates(speech, [f["text"] for f in files]), "peak_memory_mib": peak}


def save(folder: Path, out: Path) -> None:
    """Writes what `from_pretrained` reads."""
    model, front_end, _ = load(folder)
    model.save_pretrained(out)
    front_end.save_pretrained(out)
    shutil.copy(folder / "tokenizer.json", out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("save", "transcribe"))
    parser.add_argument("ct2", type=Path)
    parser.add_argument("path", type=Path, help="folder to write, or folder of speech")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.job == "save":
        save(args.ct2, args.path)
    else:
        print(json.dumps(transcribe(args.ct2, args.path), indent=1))


if __name__ == "__main__":
    main()
