#!/usr/bin/env python3
"""Writes a small random CLIP as its users have it, a picture, and embeds.safetensors: what transformers makes of both.

The checkpoint has vocab.json and merges.txt (those of ../tokenizers/clip), no tokenizer.json. Keys: `text_embeds` f32
(3, 7), one row a line of texts.txt; `image_embeds` f32 (1, 7), of picture.png through the Pillow image processor. Made with
torch 2.15.0, transformers 5.23.0 and Pillow 13.0.0. Tolerance: close.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

HERE = Path(__file__).parent
TEXTS = ["a photo of a kettle", "Der NIÑO,  and 3 crêpes!", "今天天气很好"]


@torch.inference_mode()
def main() -> None:
    folder = HERE / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    vocabulary = json.loads((HERE.parent / "tokenizers" / "clip" / "vocab.json").read_text())
    tower = {"hidden_size": 12, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 20}
    end = vocabulary["<|endoftext|>"]
    text = {**tower, "vocab_size": len(vocabulary), "max_position_embeddings": 40, "eos_token_id": end, "bos_token_id": 0}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=7)).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape) * 0.1)
    model.half().save_pretrained(folder)
    model.float()
    for name in ["vocab.json", "merges.txt"]:
        shutil.copy(HERE.parent / "tokenizers" / "clip" / name, folder)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(folder)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)

    y, x = np.mgrid[0:60, 0:90]
    pixels = np.stack([x * 2.8, y * 4.2, 127 + 120 * np.sin(x * y / 90)], axis=-1)
    picture = Image.fromarray(pixels.astype(np.uint8))
    picture.save(HERE / "picture.png", optimize=True)
    (HERE / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    answer = model(**batch, **processor(picture, return_tensors="pt"))
    save_file({"text_embeds": answer.text_embeds, "image_embeds": answer.image_embeds}, HERE / "embeds.safetensors")


if __name__ == "__main__":
    main()
