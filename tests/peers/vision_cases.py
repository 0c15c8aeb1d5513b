#!/usr/bin/env python3
"""Random classifiers of torchvision and transformers with what they answer, and the check of what Bevel makes of them.

    vision_cases.py make OUT [--family FAMILY]... [--count N] [--seed N]
    vision_cases.py check OUT [--bevel PATH]

Depth, widths, groups, heads, sizes of pictures, number of labels and the form of the weights by lot; batch norms with random
statistics. See cases.py, which `make` and `check` are from.
"""

import json
import random
import sys
from pathlib import Path

import torch
import torchvision
import transformers
from torch import nn
from torchvision.models import efficientnet, mobilenetv3, resnet, vgg

from cases import main, write_io
from exports import shake

ARGUMENTS = ["--quantize", "none"]


@torch.inference_mode()
def write_torchvision(folder: Path, model: nn.Module, config: dict, size: tuple[int, int], lot: random.Random, more=()) -> None:
    """A state dict as people save it, in fp32, fp16 or under a key of a training checkpoint, and what the model answers."""
    shake(model, lot.randrange(1 << 30))
    form = lot.choice(["float32", "float32", "float16", "safetensors"])
    if form == "float16":
        model.half().float()
    state = {name: tensor.half() if form == "float16" and tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()}
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, folder / "model.safetensors")
    else:
        torch.save(state, folder / "model.pth")
    (folder / "config.json").write_text(json.dumps(config))
    pixels = torch.randn(lot.randint(1, 3), 3, *size)
    write_io(folder, {"pixels": pixels}, {"logits": model(pixels)}, [*ARGUMENTS, *more])


def sides(lot: random.Random, least: int, most: int) -> tuple[int, int]:
    return lot.randint(least, most), lot.randint(least, most)


class Slim(resnet.ResNet):
    """A ResNet whose blocks are an eighth as wide."""

    def _make_layer(self, block, planes, *args, **arguments):
        return super()._make_layer(block, planes // 8, *args, **arguments)


def make_resnet(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    block = lot.choice([resnet.BasicBlock, resnet.Bottleneck])
    groups = {} if block is resnet.BasicBlock else lot.choice([{}, {"groups": 2, "width_per_group": 32}, {"width_per_group": 128}])
    model = Slim(block, [lot.randint(1, 3) for _ in range(4)], **groups)
    model.fc = nn.Linear(64 * block.expansion, lot.randint(1, 12))
    write_torchvision(folder, model, lot.choice([{}, {"architecture": "resnet50"}]), sides(lot, 33, 90), lot)
    return f"resnet {block.__name__} {groups}"


def make_vgg(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    plan, norm = [], lot.random() < 0.5
    for _ in range(lot.randint(2, 5)):
        plan += [lot.choice([4, 8, 12]) for _ in range(lot.randint(1, 3))] + ["M"]
    grid, wide = lot.choice([1, 2, 3, 7]), lot.randint(3, 20)
    model = vgg.VGG(vgg.make_layers(plan, batch_norm=norm), num_classes=2, init_weights=False)
    last = [width for width in plan if width != "M"][-1]
    model.avgpool = nn.AdaptiveAvgPool2d(grid)
    model.classifier = nn.Sequential(
        nn.Linear(last * grid * grid, wide), nn.ReLU(), nn.Dropout(), nn.Linear(wide, wide), nn.ReLU(), nn.Dropout(), nn.Linear(wide, lot.randint(2, 9))
    )
    side = lot.randint(2 ** plan.count("M"), 100)
    config = {"architecture": "vgg11"}
    given = lot.random() < 0.5
    config |= {} if given else {"image_size": side}
    write_torchvision(folder, model, config, (side, side), lot, ["--set", f"image_size={side}"] if given else [])
    return f"vgg {'with' if norm else 'without'} batch norm"


def make_inception(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    transforms = lot.random() < 0.5
    model = torchvision.models.inception_v3(weights=None, init_weights=False, num_classes=lot.randint(2, 9), transform_input=transforms, aux_logits=lot.random() < 0.5)
    write_torchvision(folder, model, {"architecture": "inception_v3", "transform_input": transforms}, sides(lot, 75, 130), lot)
    return "inception_v3"


def make_mobilenet_v2(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    model = torchvision.models.mobilenet_v2(num_classes=lot.randint(1, 9), width_mult=lot.choice([0.1, 0.25, 0.35, 0.5, 0.75]))
    write_torchvision(folder, model, {}, sides(lot, 32, 80), lot)
    return "mobilenet_v2"


def make_mobilenet_v3(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    name = lot.choice(["mobilenet_v3_large", "mobilenet_v3_small"])
    blocks, last = mobilenetv3._mobilenet_v3_conf(name, width_mult=lot.choice([0.25, 0.5, 0.75]), reduced_tail=lot.random() < 0.3)
    model = mobilenetv3.MobileNetV3(blocks, last, num_classes=lot.randint(2, 9))
    write_torchvision(folder, model, {}, sides(lot, 32, 80), lot)
    return name


DEPTHS = {"b0": 1.0, "b1": 1.1, "b3": 1.4, "b4": 1.8, "b5": 2.2, "b7": 3.1}


def make_efficientnet(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    variant = lot.choice([*DEPTHS, "v2_s", "v2_m"])
    name, wide = f"efficientnet_{variant}", {}
    if variant in DEPTHS:
        wide = {"width_mult": lot.choice([0.2, 0.4, 0.6]), "depth_mult": DEPTHS[variant]}
    blocks, last = efficientnet._efficientnet_conf(name, **wide)
    if not wide:
        for block in blocks:
            block.input_channels, block.out_channels = block.input_channels // 8 * 2, block.out_channels // 8 * 2
        last = 64
    epsilon = 1e-5 if variant in ("b0", "b1", "b3", "b4") else 1e-3
    model = efficientnet.EfficientNet(blocks, 0.2, last_channel=last, num_classes=lot.randint(2, 9), norm_layer=lambda width: nn.BatchNorm2d(width, eps=epsilon))
    write_torchvision(folder, model, lot.choice([{}, {"architecture": name}]), sides(lot, 32, 80), lot)
    return name


def make_vit(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    patch, heads = lot.choice([4, 7, 8]), lot.choice([1, 2, 3])
    side = patch * lot.randint(1, 5)
    model = torchvision.models.VisionTransformer(
        side,
        patch,
        lot.randint(1, 3),
        heads,
        heads * lot.choice([4, 8]),
        lot.randint(5, 40),
        num_classes=lot.randint(2, 9),
        representation_size=lot.choice([None, None, 11]),
    )
    nn.init.normal_(model.heads.head.weight)
    nn.init.normal_(model.class_token)
    given = lot.random() < 0.5
    config = {} if given else {"num_heads": heads}
    write_torchvision(folder, model, config, (side, side), lot, ["--set", f"heads={heads}"] if given else [])
    return "vit of torchvision"


@torch.inference_mode()
def write_transformers(folder: Path, name: str, config, size: tuple[int, int], lot: random.Random, base_outputs) -> str:
    config.num_labels = lot.randint(1, 9)
    base = name.endswith("Model")
    model = shake(getattr(transformers, name)(config), lot.randrange(1 << 30))
    if lot.random() < 0.3:
        model.half().save_pretrained(folder)
        model.float()
    else:
        model.save_pretrained(folder)
    pixels = torch.randn(lot.randint(1, 3), config.num_channels, *size)
    answered = model(pixels)
    outputs = {output: answered[output] for output in (base_outputs if base else ["logits"])}
    # The mean of each channel is N×D here, whether the library leaves the sides of 1 or not.
    outputs = {output: tensor.flatten(1) if output == "pooler_output" else tensor for output, tensor in outputs.items()}
    write_io(folder, {"pixel_values": pixels}, outputs, ARGUMENTS)
    return name


POOLED = ["pooler_output", "last_hidden_state"]


def make_hf_resnet(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    stages = lot.randint(1, 4)
    config = transformers.ResNetConfig(
        num_channels=lot.choice([3, 3, 1]),
        embedding_size=lot.choice([8, 16]),
        hidden_sizes=[lot.choice([8, 16, 24, 32]) for _ in range(stages)],
        depths=[lot.randint(1, 3) for _ in range(stages)],
        layer_type=lot.choice(["basic", "bottleneck"]),
        hidden_act=lot.choice(["relu", "relu", "silu", "gelu"]),
        downsample_in_first_stage=lot.random() < 0.3,
        downsample_in_bottleneck=lot.random() < 0.3,
    )
    name = lot.choice(["ResNetModel", "ResNetForImageClassification"])
    return write_transformers(folder, name, config, sides(lot, 33, 80), lot, POOLED)


def make_hf_mobilenet_v2(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    padded, side = lot.random() < 0.6, lot.randint(32, 80)
    config = transformers.MobileNetV2Config(
        depth_multiplier=lot.choice([0.1, 0.35, 0.5]),
        image_size=side,
        tf_padding=padded,
        first_layer_is_expansion=lot.random() < 0.7,
        finegrained_output=lot.random() < 0.5,
        output_stride=lot.choice([32, 32, 16, 8]),
        hidden_act=lot.choice(["relu6", "relu6", "relu", "hardswish"]),
        layer_norm_eps=lot.choice([1e-3, 1e-5]),
    )
    name = lot.choice(["MobileNetV2Model", "MobileNetV2ForImageClassification"])
    return write_transformers(folder, name, config, (side, side) if padded else sides(lot, 32, 80), lot, POOLED)


def make_hf_efficientnet(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    width, depth = lot.choice([0.1, 0.25, 0.5]), lot.choice([0.3, 1.0, 1.2])
    config = transformers.EfficientNetConfig(
        image_size=64,
        width_coefficient=width,
        depth_coefficient=depth,
        hidden_dim=efficientnet._make_divisible(1280 * width, 8),
        depthwise_padding=lot.sample(range(16), lot.randint(0, 4)),
        hidden_act=lot.choice(["swish", "swish", "relu"]),
        batch_norm_eps=lot.choice([1e-3, 1e-5]),
    )
    name = lot.choice(["EfficientNetModel", "EfficientNetForImageClassification"])
    return write_transformers(folder, name, config, sides(lot, 32, 90), lot, POOLED)


def make_hf_vit(folder: Path, _: str, lot: random.Random, __: torch.Generator) -> str:
    kind = lot.choice(["ViT", "DeiT"])
    patch, heads = lot.choice([4, 7, 8]), lot.choice([1, 2, 3])
    side = patch * lot.randint(1, 5) + lot.choice([0, 0, 3])
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=heads * lot.choice([4, 8]),
        num_attention_heads=heads,
        num_hidden_layers=lot.randint(1, 3),
        intermediate_size=lot.randint(5, 40),
        image_size=side,
        patch_size=patch,
        num_channels=lot.choice([3, 3, 1]),
        qkv_bias=lot.random() < 0.7,
        hidden_act=lot.choice(["gelu", "gelu", "gelu_new", "relu"]),
        layer_norm_eps=lot.choice([1e-12, 1e-6, 1e-3]),
        pooler_output_size=lot.choice([None, 11]),
    )
    more = ["ForImageClassificationWithTeacher"] if kind == "DeiT" else []
    name = kind + lot.choice(["Model", "ForImageClassification", *more])
    return write_transformers(folder, name, config, (side, side), lot, POOLED)


FAMILIES = {
    "resnet": make_resnet,
    "vgg": make_vgg,
    "mobilenet_v2": make_mobilenet_v2,
    "mobilenet_v3": make_mobilenet_v3,
    "efficientnet": make_efficientnet,
    "vit": make_vit,
    "hf_resnet": make_hf_resnet,
    "hf_mobilenet_v2": make_hf_mobilenet_v2,
    "hf_efficientnet": make_hf_efficientnet,
    "hf_vit": make_hf_vit,
    "inception": make_inception,
}

if __name__ == "__main__":
    sys.exit(main(__doc__, FAMILIES))
