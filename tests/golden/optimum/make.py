#!/usr/bin/env python3
"""Trains a Whisper and a Moonshine that name two tones, and exports both with Optimum:

  make.py    # in an environment of optimum-onnx 0.1.0, transformers 4.57.6, torch 2.15.0, onnx, onnxruntime

whisper/   encoder_model.onnx, decoder_model.onnx, decoder_with_past_model.onnx (--no-post-process)
moonshine/ encoder_model.onnx, decoder_model_merged.onnx

and beside each what the runtime reads. expected.json holds for each sound (hertz; one second, amplitude 0.3, 16 kHz) the tokens
that transformers takes greedily, special ones left out, and their text. Tolerance: exact.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    MoonshineConfig,
    MoonshineForConditionalGeneration,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

HERE = Path(__file__).parent
RATE = 16_000
TEXTS = {330: "a low hum", 1470: "a high beep"}
LETTERS = ["Ġ", *"abcdefghijklmnopqrstuvwxyz"]


def tone(hertz: float, seconds: float = 1.0, amplitude: float = 0.3) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def tokenizer(before: list[str], after: list[str]) -> Tokenizer:
    """One token a letter, between special ones."""
    vocab = {token: i for i, token in enumerate([*before, *LETTERS, *after])}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True) for token in [*before, *after]])
    return made


def train(model: torch.nn.Module, steps: int, inputs, prompt: list[int], made: Tokenizer, end: int) -> None:
    """On the tones at a few lengths and amplitudes."""
    random = np.random.default_rng(0)
    pairs = [(random.uniform(0.8, 1.2), random.uniform(0.2, 0.4)) for _ in range(6)]
    batches = [inputs([tone(hertz, *pair) for hertz in TEXTS]) for pair in pairs]
    ids = [[*prompt, *made.encode(text).ids, end] for text in TEXTS.values()]
    longest = max(map(len, ids))
    read = torch.tensor([row[:-1] + [end] * (longest - len(row)) for row in ids])
    write = torch.tensor([row[len(prompt) :] + [-100] * (longest - len(row)) for row in ids])
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    model.train()
    for step in range(steps):
        logits = model(**batches[step % len(batches)], decoder_input_ids=read, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, len(prompt) - 1 :].flatten(0, 1), write.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            print(step, loss.item(), file=sys.stderr, flush=True)
    model.eval()


@torch.inference_mode()
def greedy(model: torch.nn.Module, inputs: dict, prompt: list[int], end: int) -> list[int]:
    ids = list(prompt)
    while ids[-1] != end and len(ids) < 40:
        logits = model(**inputs, decoder_input_ids=torch.tensor([ids]), use_cache=False).logits
        ids.append(int(logits[0, -1].argmax()))
    return ids[len(prompt) : -1]


def export(model: torch.nn.Module, made: Tokenizer, front_end, name: str, files: list[str], *options: str) -> None:
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        saved, exported = Path(folder) / "saved", Path(folder) / "exported"
        model.save_pretrained(saved)
        front_end.save_pretrained(saved)
        task = ["--task", "automatic-speech-recognition-with-past"]
        cli = Path(sys.executable).with_name("optimum-cli")
        subprocess.run([cli, "export", "onnx", "--model", saved, *task, *options, exported], check=True)
        for file in [*files, "config.json", "generation_config.json"]:
            shutil.copy(exported / file, out)
        shutil.copy(saved / "preprocessor_config.json", out)
    made.save(str(out / "tokenizer.json"), pretty=False)


def whisper() -> tuple[dict[int, list[int]], Tokenizer]:
    torch.manual_seed(0)
    times = [f"<|{i / 50:.2f}|>" for i in range(101)]
    steering = ["startoftranscript", "en", "de", "translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    made = tokenizer([], ["<|endoftext|>", *(f"<|{name}|>" for name in steering), *times])
    of = made.token_to_id
    end, start = of("<|endoftext|>"), of("<|startoftranscript|>")
    config = WhisperConfig(
        vocab_size=made.get_vocab_size(), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_target_positions=48, decoder_start_token_id=start, bos_token_id=end, eos_token_id=end, pad_token_id=end,
        begin_suppress_tokens=None, dropout=0.0,
    )
    model = WhisperForConditionalGeneration(config)
    front_end = WhisperFeatureExtractor()
    inputs = lambda sounds: {"input_features": front_end(sounds, sampling_rate=RATE, return_tensors="pt").input_features}
    prompt = [start, of("<|en|>"), of("<|transcribe|>"), of("<|notimestamps|>")]
    train(model, 200, inputs, prompt, made, end)
    files = ["encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"]
    export(model, made, front_end, "whisper", files, "--no-post-process")
    # Those of released checkpoints say so; the vocabulary is too small to tell.
    settings = HERE / "whisper/generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"is_multilingual": True}, indent=1) + "\n")
    return {hertz: greedy(model, inputs([tone(hertz)]), prompt, end) for hertz in TEXTS}, made


def moonshine() -> tuple[dict[int, list[int]], Tokenizer]:
    torch.manual_seed(0)
    made = tokenizer(["<unk>", "<s>", "</s>"], [])
    config = MoonshineConfig(
        vocab_size=made.get_vocab_size(), hidden_size=32, intermediate_size=32, encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1, encoder_num_attention_heads=2, decoder_num_attention_heads=2,
        max_position_embeddings=194, pad_token_id=2,
    )
    model = MoonshineForConditionalGeneration(config)
    front_end = Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    inputs = lambda sounds: {"input_values": torch.from_numpy(np.stack(sounds))}
    train(model, 200, inputs, [1], made, 2)
    export(model, made, front_end, "moonshine", ["encoder_model.onnx", "decoder_model_merged.onnx"])
    return {hertz: greedy(model, inputs([tone(hertz)]), [1], 2) for hertz in TEXTS}, made


expected = {}
for make in (whisper, moonshine):
    found, made = make()
    expected[make.__name__] = [{"hertz": hertz, "ids": ids, "text": made.decode(ids)} for hertz, ids in found.items()]
(HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
