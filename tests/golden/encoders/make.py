#!/usr/bin/env python3
"""Writes one small checkpoint for each head and form that ../shared/golden lacks: config.json, weights, io.safetensors.

`io.safetensors` holds `input.NAME` and `output.NAME`, fp32 on the stored weights; `case.json` the arguments of `bevel
convert`. Made with torch 2.15.0 and transformers 5.23.0. Tolerance: close.
"""

import random
import shutil
import sys
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent.parent / "peers"))
import cases  # noqa: E402

SIZES = {
    "vocab_size": 40,
    "hidden_size": 12,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 10,
    "max_position_embeddings": 24,
    "num_labels": 3,
    "layer_norm_eps": 1e-5,
}
DISTILBERT = {
    "vocab_size": 40,
    "dim": 12,
    "n_heads": 2,
    "n_layers": 2,
    "hidden_dim": 10,
    "max_position_embeddings": 24,
    "num_labels": 3,
}
# Folder, family, class, form of the weights, further settings.
ENCODERS = [
    ("albert-model", "albert", "AlbertModel", "float16", {"embedding_size": 6, "num_hidden_groups": 2, "num_hidden_layers": 3}),
    ("albert-classes", "albert", "AlbertForSequenceClassification", "bin", {"embedding_size": 12, "inner_group_num": 2}),
    ("albert-masked", "albert", "AlbertForMaskedLM", "safetensors", {"embedding_size": 6}),
    ("bert-pre-training", "bert", "BertForPreTraining", "bin", {}),
    ("bert-untied", "bert", "BertForMaskedLM", "bin", {"tie_word_embeddings": False, "hidden_act": "gelu_new"}),
    ("bert-other-head", "bert", "BertForTokenClassification", "other-head", {}),
    ("camembert-tags", "roberta", "CamembertForTokenClassification", "bfloat16", {"pad_token_id": 1, "type_vocab_size": 1}),
    ("distilbert-masked", "distilbert", "DistilBertForMaskedLM", "safetensors", DISTILBERT),
    ("distilbert-model", "distilbert", "DistilBertModel", "sharded", {**DISTILBERT, "sinusoidal_pos_embds": True}),
    ("electra-discriminator", "electra", "ElectraForPreTraining", "safetensors", {"embedding_size": 6}),
    ("electra-generator", "electra", "ElectraForMaskedLM", "safetensors", {"embedding_size": 6}),
    ("electra-classes", "electra", "ElectraForSequenceClassification", "safetensors", {"embedding_size": 12}),
    ("mpnet-model", "mpnet", "MPNetModel", "safetensors", {"max_position_embeddings": 160}),
    ("mpnet-classes", "mpnet", "MPNetForSequenceClassification", "safetensors", {}),
    ("roberta-masked", "roberta", "XLMRobertaForMaskedLM", "bin", {"pad_token_id": 3, "type_vocab_size": 2}),
    ("roberta-span", "roberta", "RobertaForQuestionAnswering", "safetensors", {"pad_token_id": 1, "type_vocab_size": 1}),
]
TOWER = {"hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 10, "projection_dim": 6}
TEXT = {**TOWER, "vocab_size": 40, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 30}
VISION = {**TOWER, "image_size": 18, "patch_size": 4, "hidden_act": "gelu"}
# Folder, class, settings; the joint model has the end token of old configurations.
CLIP = [
    ("clip-text", "CLIPTextModelWithProjection", transformers.CLIPTextConfig(**TEXT)),
    ("clip-text-bare", "CLIPTextModel", transformers.CLIPTextConfig(**TEXT)),
    ("clip-vision", "CLIPVisionModelWithProjection", transformers.CLIPVisionConfig(**VISION)),
    (
        "clip-old-end",
        "CLIPModel",
        transformers.CLIPConfig(text_config={**TEXT, "eos_token_id": 2}, vision_config=VISION, projection_dim=5),
    ),
]


def main() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for folder in HERE.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    for seed, (folder, *case) in enumerate([*ENCODERS, *CLIP]):
        torch.manual_seed(seed)
        lot, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        folder = HERE / folder
        folder.mkdir()
        if len(case) == 4:
            family, name, form, settings = case
            prefix = next(prefix for prefix in cases.ENCODERS[family][0] if name.startswith(prefix))
            sizes = {} if family == "distilbert" else SIZES
            config = getattr(transformers, f"{prefix}Config")(**sizes | settings)
            cases.write_encoder(folder, family, name, config, form, lot, generator)
        else:
            name, config = case
            cases.write_clip(folder, name, config, "safetensors", lot, generator)


if __name__ == "__main__":
    main()
