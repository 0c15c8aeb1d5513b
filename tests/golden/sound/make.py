#!/usr/bin/env python3
"""Makes the checkpoints beside this file and `expected.json`: small models with random weights, and what transformers writes
down with them of `noise.wav`. Needs torch, transformers and soundfile; run from anywhere.
"""

import json
from pathlib import Path

import numpy as np
import soundfile
import tokenizers
import torch
import transformers

HERE = Path(__file__).parent
RATE_HZ = 16_000


def noise() -> np.ndarray:
    """Two seconds that swell and fade, so that frames differ."""
    lot = np.random.default_rng(3)
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    swell = 0.3 * np.sin(2 * np.pi * 1.5 * time) ** 2
    samples = swell * (np.sin(2 * np.pi * (200 + 300 * time) * time) + lot.normal(0, 0.3, time.size))
    return (samples * 20_000).clip(-32768, 32767).astype(np.int16)


def shaken(model: torch.nn.Module, scale: float) -> torch.nn.Module:
    """Weights as initialised answer the same token at every step."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, 0, scale / parameter[0].numel() ** 0.5)
    return model.eval()


def wav2vec2(samples: np.ndarray) -> str:
    """CTC with a vocabulary, a feature extractor that normalises and one that marks padding."""
    folder = HERE / "wav2vec2"
    folder.mkdir(exist_ok=True)
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLU'"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), word_delimiter_token="|", do_lower_case=False)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(tokens),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=32,
        conv_dim=[16, 16, 16],
        conv_kernel=[10, 8, 4],
        conv_stride=[5, 8, 8],
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=4,
    )
    model = shaken(transformers.Wav2Vec2ForCTC(config), 2.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    extractor.save_pretrained(folder)
    inputs = extractor(samples.astype(np.float32) / 32768, sampling_rate=RATE_HZ, return_tensors="pt")
    ids = model(**inputs).logits.argmax(-1)[0]
    return tokenizer.decode(ids).strip()


def moonshine(samples: np.ndarray) -> str:
    """Encoder and decoder with a byte-pair vocabulary."""
    folder = HERE / "moonshine"
    folder.mkdir(exist_ok=True)
    words = ["<unk>", "<s>", "</s>", *(f"▁{word}" for word in "the of and to in is was he for it with as his on be at by had".split()), *"abcdefgh"]
    vocabulary = tokenizers.models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[], unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(vocabulary)
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = transformers.MoonshineConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=48,
        encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=2,
        encoder_num_attention_heads=4,
        decoder_num_attention_heads=4,
        tie_word_embeddings=False,
    )
    model = shaken(transformers.MoonshineForConditionalGeneration(config), 3.0)
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    values = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
    # 13 tokens a second: two seconds have 26.
    ids = model.generate(values, max_new_tokens=26, do_sample=False)[0]
    return tokenizer.decode(ids.tolist(), skip_special_tokens=True).strip()


@torch.inference_mode()
def main() -> None:
    torch.manual_seed(11)
    samples = noise()
    soundfile.write(HERE / "noise.wav", samples, RATE_HZ)
    expected = {"moonshine": moonshine(samples), "wav2vec2": wav2vec2(samples)}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
