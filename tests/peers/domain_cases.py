#!/usr/bin/env python3
"""Random small checkpoints of the other domains with what PyTorch and stable-baselines3 answer on them, and the check of what
Bevel converts them to: recurrent forecasters, NeuMF recommenders, policies, multi-layer perceptrons. Works as `cases.py` does,
which holds what both share.

Weights come as state dicts, as modules that were pickled whole, and as the .zip of stable-baselines3.
"""

import random
import sys
from functools import partial
from pathlib import Path

import cases
import gymnasium
import numpy as np
import stable_baselines3 as sb3
import torch
from cases import shake, write_io
from gymnasium import spaces
from safetensors.torch import save_file
from torch import nn

PLAIN = ["--quantize", "none"]
# Names of `--set activation` and what they are.
ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, "tanh"),
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "celu": nn.CELU,
    "leaky_relu": nn.LeakyReLU,
    "hardsigmoid": nn.Hardsigmoid,
    "selu": nn.SELU,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "relu6": nn.ReLU6,
    "none": nn.Identity,
}


def save(folder: Path, model: nn.Module, lot: random.Random) -> None:
    """The weights in one of several forms; `model` keeps what a reader of that form would see."""
    form = lot.choice(["safetensors", "float16", "bin", "bin", "wrapped"])
    if form == "float16":
        model.half()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if form == "bin":
        torch.save(state, folder / "model.pt")
    elif form == "wrapped":
        torch.save({"epoch": 3, "model_state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, folder / "best.pth")
    else:
        save_file(state, folder / "model.safetensors")
    model.float()


def perceptron(sizes: list[int], between, norm: str = "") -> nn.Sequential:
    """Layers with `between` between them, and batch norms before or after it where `norm` says so."""
    layers = [nn.BatchNorm1d(sizes[0])] * (norm == "first")
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        layers.append(nn.Linear(inputs, outputs))
        if i + 2 < len(sizes):
            layers += [nn.BatchNorm1d(outputs)] * (norm == "before") + [between(), nn.Dropout(0.1)]
            layers += [nn.BatchNorm1d(outputs)] * (norm == "after")
    return nn.Sequential(*layers)


@torch.inference_mode()
def lstm(folder: Path, _: str, lot: random.Random, generator: torch.Generator) -> str:
    kind = lot.choice(["LSTM", "LSTM", "LSTM", "GRU", "RNN"])
    features, hidden, steps = lot.randint(1, 7), lot.randint(2, 20), lot.choice([1, lot.randint(2, 30)])
    options = {
        "num_layers": lot.randint(1, 4),
        "bidirectional": lot.random() < 0.4,
        "bias": lot.random() < 0.8,
        "batch_first": True,
    }
    arguments = list(PLAIN)
    if kind == "LSTM" and lot.random() < 0.4:
        options["proj_size"] = lot.randint(1, hidden - 1)
    if kind == "RNN":
        options["nonlinearity"] = lot.choice(["tanh", "relu"])
        arguments += ["--set", f"nonlinearity={options['nonlinearity']}"]
    directions = 1 + options["bidirectional"]
    width = directions * options.get("proj_size", hidden)
    ends = options["bidirectional"] and lot.random() < 0.5
    if options["bidirectional"]:
        arguments += ["--set", f"read={'final-states' if ends else 'last-step'}"]
    sizes = [width, *(lot.randint(2, 12) for _ in range(lot.choice([0, 0, 0, 1, 2]))), lot.randint(1, 9)]
    if len(sizes) == 2:
        head = nn.Linear(*sizes)
    else:
        name = lot.choice(list(ACTIVATIONS))
        arguments += ["--set", f"activation={name}"]
        head = perceptron(sizes, ACTIVATIONS[name])

    model = nn.Module()
    recurrent, last = lot.choice([("lstm", "head"), ("rnn", "fc"), ("encoder.rnn", "decoder.out"), ("gru", "linear")])
    for name, module in [(recurrent, getattr(nn, kind)(features, hidden, **options)), (last, head)]:
        *outer, name = name.split(".")
        parent = model
        for part in outer:
            parent.add_module(part, nn.Module())
            parent = getattr(parent, part)
        parent.add_module(name, module)
    model.eval()
    shake(model, generator)
    save(folder, model, lot)
    series = torch.randn(lot.randint(1, 4), steps, features, generator=generator)
    states, state = model.get_submodule(recurrent)(series)
    final = state[0] if kind == "LSTM" else state
    read = torch.cat(list(final[-2:]), -1) if ends else states[:, -1]
    write_io(folder, {"series": series}, {"forecast": head(read)}, arguments)
    return f"lstm {kind}{' both ways' if options['bidirectional'] else ''}{' projected' if 'proj_size' in options else ''}"


# Tables of GMF and MLP, layers of the MLP by how many modules each takes, the output, and whether the MLP goes first.
NEUMF = {
    "neural-collaborative-filtering": ("embedding_{}_mf", "embedding_{}_mlp", "fc_layers", 1, "affine_output", True),
    "NCF": ("embed_{}_GMF", "embed_{}_MLP", "MLP_layers", 3, "predict_layer", False),
    "RecBole": ("{}_mf_embedding", "{}_mlp_embedding", "mlp_layers.mlp_layers", 3, "predict_layer", False),
}


@torch.inference_mode()
def neumf(folder: Path, _: str, lot: random.Random, generator: torch.Generator) -> str:
    name = lot.choice(list(NEUMF))
    gmf, mlp, layers, stride, output, mlp_first = NEUMF[name]
    users, items, factors, size = lot.randint(2, 60), lot.randint(2, 60), lot.randint(1, 12), lot.randint(1, 12)
    sizes = [2 * size] + [lot.randint(1, 20) for _ in range(lot.randint(0, 4))]
    tables = {}
    for who, count in [("user", users), ("item", items)]:
        tables[who] = nn.Embedding(count, factors), nn.Embedding(count, size)
    linears = [nn.Linear(*pair) for pair in zip(sizes, sizes[1:])]
    predict = nn.Linear(factors + sizes[-1], 1)

    model = nn.Module()
    for who, both in tables.items():
        for pattern, table in zip([gmf, mlp], both):
            model.add_module(pattern.format(who), table)
    model.add_module(output, predict)
    inner = model
    *outer, last = layers.split(".")
    for part in outer:
        inner.add_module(part, nn.Module())
        inner = getattr(inner, part)
    # Dropout, Linear, ReLU, or the Linear alone.
    inner.add_module(last, nn.Module())
    for i, linear in enumerate(linears):
        getattr(inner, last).add_module(str(stride * i + stride // 2), linear)
    shake(model, generator)
    save(folder, model, lot)
    count = lot.randint(1, 9)
    ids = {"user": torch.randint(0, users, (count,), generator=generator), "item": torch.randint(0, items, (count,), generator=generator)}
    rows = {who: [table(ids[who]) for table in both] for who, both in tables.items()}
    product, x = rows["user"][0] * rows["item"][0], torch.cat([rows["user"][1], rows["item"][1]], -1)
    for linear in linears:
        x = torch.relu(linear(x))
    score = torch.sigmoid(predict(torch.cat([x, product] if mlp_first else [product, x], -1)))
    write_io(folder, ids, {"score": score}, PLAIN)
    return f"neumf {name}"


class Still(gymnasium.Env):
    """An environment of these spaces in which nothing happens."""

    def __init__(self, observations: spaces.Space, actions: spaces.Space):
        self.observation_space, self.action_space = observations, actions

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, True, False, {}


@torch.inference_mode()
def policy(folder: Path, _: str, lot: random.Random, generator: torch.Generator) -> str:
    name = lot.choice(["PPO", "PPO", "PPO", "A2C", "A2C", "DQN", "SAC", "TD3", "DDPG"])
    observations = lot.choice(
        [
            spaces.Box(-3, 3, (lot.randint(1, 9),), np.float32),
            spaces.Box(-3, 3, (lot.randint(1, 3), lot.randint(1, 3)), np.float32),
            spaces.Discrete(lot.randint(2, 6)),
        ]
    )
    box = spaces.Box(-2, 3, (lot.randint(1, 4),), np.float32)
    discrete = spaces.Discrete(lot.randint(2, 5))
    several = [box, discrete, spaces.MultiDiscrete([lot.randint(2, 4), 3]), spaces.MultiBinary(lot.randint(1, 4))]
    actions = {"DQN": discrete, "PPO": lot.choice(several), "A2C": lot.choice(several)}.get(name, box)
    net = lambda: [lot.randint(2, 20) for _ in range(lot.randint(0, 3))]  # noqa: E731
    kwargs, arguments, options = {"net_arch": net()}, list(PLAIN), {}
    if name in ("PPO", "A2C"):
        kwargs["net_arch"] = lot.choice([net(), {"pi": net(), "vf": net()}])
        kwargs["share_features_extractor"] = lot.random() < 0.5
    sde = actions is box and name in ("PPO", "A2C", "SAC") and lot.random() < 0.4
    if sde:
        options["use_sde"] = True
        if name == "SAC":
            kwargs["clip_mean"] = lot.choice([0.5, 2.0])
        else:
            kwargs |= {"squash_output": lot.random() < 0.5, "full_std": lot.random() < 0.5}
    if lot.random() < 0.5:
        activation = lot.choice([name for name in ACTIVATIONS if name != "gelu_tanh"])
        kwargs["activation_fn"] = ACTIVATIONS[activation]
    if name not in ("PPO", "A2C"):
        options["buffer_size"] = 10
    agent = getattr(sb3, name)("MlpPolicy", Still(observations, actions), policy_kwargs=kwargs, device="cpu", **options)
    shake(agent.policy, generator)
    # What the weights alone do not tell comes with the .zip.
    zipped = lot.random() < 0.5 or kwargs.get("squash_output") or kwargs.get("clip_mean", 2.0) != 2.0
    if zipped:
        agent.save(folder / "agent.zip")
    else:
        torch.save(agent.policy.state_dict(), folder / "policy.pth")
        if "activation_fn" in kwargs:
            arguments += ["--set", f"activation={activation}"]

    model, count = agent.policy.eval(), lot.randint(1, 5)
    seen = torch.as_tensor(np.stack([observations.sample() for _ in range(count)]))
    flat = nn.functional.one_hot(seen, observations.n).float() if isinstance(observations, spaces.Discrete) else seen.flatten(1)
    if name in ("PPO", "A2C"):
        features = model.extract_features(seen)
        pi, vf = features if isinstance(features, tuple) else (features, features)
        pi, vf = model.mlp_extractor.forward_actor(pi), model.mlp_extractor.forward_critic(vf)
        continuous = "action_mean" if actions is box else "action_logits"
        mean = model.action_net(pi)
        outputs = {continuous: torch.tanh(mean) if kwargs.get("squash_output") else mean, "value": model.value_net(vf)}
        if actions is box:  # what the library itself decides by
            assert torch.allclose(model.get_distribution(seen).mode(), outputs[continuous], atol=1e-6)
        assert torch.allclose(model.predict_values(seen), outputs["value"], atol=1e-6)
    elif name == "DQN":
        outputs = {"q_values": model.q_net(seen)}
    elif name == "SAC":
        outputs = {"action": model.actor(seen, deterministic=True)}
    else:
        outputs = {"action": model.actor(seen)}
    write_io(folder, {"observation": flat}, outputs, arguments)
    return f"policy {name}{' by state' if sde else ''} {'zip' if zipped else 'pth'}"


class Net(nn.Module):
    """Layers with names of their own."""

    def __init__(self, sizes: list[int], names: list[str], between, module: bool):
        super().__init__()
        self.names, self.between = names, between
        for name, *pair in zip(names, sizes, sizes[1:]):
            setattr(self, name, nn.Linear(*pair))
        if module:
            self.act = between()

    def forward(self, x):
        for i, name in enumerate(self.names):
            x = getattr(self, name)(self.between()(x) if i else x)
        return x


class Wrapped(nn.Module):
    """A sequence under a name."""

    def __init__(self, net: nn.Sequential):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


@torch.inference_mode()
def mlp(folder: Path, _: str, lot: random.Random, generator: torch.Generator) -> str:
    kind = lot.choice(["sequence", "names", "names-pickled", "pickled", "pickled", "pickled"])
    sizes = [lot.randint(1, 30) for _ in range(lot.randint(2, 6))]
    activation = lot.choice(list(ACTIVATIONS))
    between, arguments = ACTIVATIONS[activation], list(PLAIN)
    if kind == "sequence":
        model = perceptron(sizes, between, lot.choice(["", "", "first", "before", "after"]))
        if lot.random() < 0.3:
            model = nn.Sequential(nn.Flatten(), model)
    elif kind.startswith("names"):
        layers = len(sizes) - 1
        names = lot.choice([[f"fc{i + 1}" for i in range(layers)], [f"layer_{i}" for i in range(layers)], ["entry", "mid", "low", "top", "way"][:layers]])
        model = Net(sizes, names, between, module=kind == "names-pickled")
    else:
        model = pickled(sizes, lot)
    model.eval()
    shake(model, generator)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.3, 2.0, generator=generator)
    x = torch.randn(lot.randint(1, 5), sizes[0], generator=generator)
    if kind == "names":
        arguments += ["--set", "layers=" + ",".join(model.names)]
    if kind in ("sequence", "names"):
        if activation != "relu" or lot.random() < 0.5:
            arguments += ["--set", f"activation={activation}"]
        save(folder, model, lot)
    else:
        if kind == "names-pickled":
            arguments += ["--set", "layers=" + ",".join(model.names)] * (model.names[0] == "entry")
        model = {"model": model, "epoch": 2} if lot.random() < 0.3 else model
        torch.save(model, folder / "model.pt")
        model = model["model"] if isinstance(model, dict) else model
    outputs = model(x)
    if kind in ("sequence", "names") and lot.random() < 0.3:
        arguments += ["--set", "output=softmax"]
        outputs = outputs.softmax(-1)
    write_io(folder, {"input": x}, {"output": outputs}, arguments)
    return f"mlp {kind}"


def pickled(sizes: list[int], lot: random.Random) -> nn.Module:
    """A sequence of anything that may stand in one."""
    layers = []
    norm = lambda width: lot.choice([nn.BatchNorm1d(width), nn.BatchNorm1d(width, eps=1e-3), nn.BatchNorm1d(width, affine=False), nn.LayerNorm(width)])  # noqa: E731
    if lot.random() < 0.3:
        layers.append(norm(sizes[0]))
    for i, pair in enumerate(zip(sizes, sizes[1:])):
        layer = [nn.Linear(*pair, bias=lot.random() < 0.8)]
        if i + 2 < len(sizes):
            # A norm of each sample makes a single value a constant.
            made = [lot.choice([*ACTIVATIONS.values(), lambda: nn.LeakyReLU(0.2), lambda: nn.ELU(0.7), lambda: nn.CELU(1.4)])(), nn.Dropout(0.3)]
            made += [norm(pair[1])] * (lot.random() < 0.6) + [nn.BatchNorm1d(pair[1])] * (lot.random() < 0.2)
            lot.shuffle(made)
            layer += made
        layers.append(nn.Sequential(*layer)) if lot.random() < 0.3 else layers.extend(layer)
    layers += [lot.choice([nn.Softmax(-1), nn.Softmax(dim=1), nn.LogSoftmax(1), nn.Sigmoid(), nn.BatchNorm1d(sizes[-1])])] * (lot.random() < 0.5)
    model = nn.Sequential(*layers)
    return Wrapped(model) if lot.random() < 0.3 else model


FAMILIES = {"lstm": lstm, "neumf": neumf, "policy": policy, "mlp": mlp}

if __name__ == "__main__":
    sys.exit(cases.main(__doc__, FAMILIES))
