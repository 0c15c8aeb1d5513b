"""Writes ctranslate2/*.bin: one small model in every type that CTranslate2's own writer knows.

    pip install ctranslate2==4.8.5 torch && python make.py
"""

from pathlib import Path

import numpy as np
from ctranslate2.specs import common_spec, model_spec

OUT = Path(__file__).parent / "ctranslate2"


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


OUT.mkdir(exist_ok=True)
for kind in ("float32", "float16", "bfloat16", "int8", "int8_float16", "int16"):
    spec = TinySpec()
    weight = np.array([[63.5, -32.0, 0.5], [0.0, 0.0, 0.0], [1.0, 127.0, -64.0]], np.float32)
    spec.linear[0].weight, spec.linear[0].bias = weight, np.array([1.5, -0.25, 3.0], np.float32)
    spec.projection.weight = weight.copy()
    spec.conv.weight = np.arange(-6, 6, dtype=np.float32).reshape(2, 2, 3)
    spec.conv.bias = np.array([0.5, -8.0], np.float32)
    spec.validate()
    spec.optimize(quantization=kind)
    spec._serialize(str(OUT / f"{kind}.bin"))
