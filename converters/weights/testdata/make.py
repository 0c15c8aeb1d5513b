"""Writes ctranslate2/*.bin, one small model in every type that CTranslate2's own writer knows, and
vectors/*, the same words in every form that gensim's writer knows.

    pip install ctranslate2==4.8.5 gensim==4.4.0 torch && python make.py
"""

from pathlib import Path

import numpy as np
from ctranslate2.specs import common_spec, model_spec
from gensim.models import KeyedVectors

HERE = Path(__file__).parent


class TinySpec(model_spec.ModelSpec):
    def __init__(self):
        super().__init__()
        self.num_heads = np.int16(4)
        self.conv = common_spec.Conv1DSpec()
        self.linear = [common_spec.LinearSpec()]
        self.projection = common_spec.LinearSpec()

    @property
    def name(self):
        return "TinySpec"

    @property
    def revision(self):
        return 7


def ctranslate2():
    out = HERE / "ctranslate2"
    out.mkdir(exist_ok=True)
    for kind in ("float32", "float16", "bfloat16", "int8", "int8_float16", "int16"):
        spec = TinySpec()
        weight = np.array([[63.5, -32.0, 0.5], [0.0, 0.0, 0.0], [1.0, 127.0, -64.0]], np.float32)
        spec.linear[0].weight, spec.linear[0].bias = weight, np.array([1.5, -0.25, 3.0], np.float32)
        spec.projection.weight = weight.copy()
        spec.conv.weight = np.arange(-6, 6, dtype=np.float32).reshape(2, 2, 3)
        spec.conv.bias = np.array([0.5, -8.0], np.float32)
        spec.validate()
        spec.optimize(quantization=kind)
        spec._serialize(str(out / f"{kind}.bin"))


def vectors():
    out = HERE / "vectors"
    out.mkdir(exist_ok=True)
    table = KeyedVectors(3)
    words = ["the", ",", "Zürich", "日本", "<unk>"]
    table.add_vectors(words, np.arange(15, dtype=np.float32).reshape(5, 3) / 7 - 1)
    # Written in the order of the rows.
    save = lambda name, **how: table.save_word2vec_format(out / name, sort_attr=None, **how)
    save("word2vec.bin", binary=True)
    save("word2vec.txt")
    save("glove.txt", write_header=False)


ctranslate2()
vectors()
