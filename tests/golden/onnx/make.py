#!/usr/bin/env python3
"""Small ONNX models of operator sets 7 to 25 and what stock ONNX Runtime answers for them, as they are.

    make.py FOLDER        (onnx 1.23.2, onnxruntime 1.28.0, safetensors, numpy)
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import that reads it

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper
from safetensors.numpy import save_file

TYPES = {"float32": T.FLOAT, "float16": T.FLOAT16, "int64": T.INT64, "bool": T.BOOL, "uint8": T.UINT8, "int8": T.INT8}
random = np.random.default_rng(4)
cases = []


def floats(*shape):
    return random.standard_normal(shape).astype(np.float32)


def halves(*shape):
    """Numbers that f16 holds: ONNX Runtime may calculate in f32 in between."""
    return floats(*shape).astype(np.float16).astype(np.float32)


def case(name, opset, nodes, inputs, constants=None, outputs=("y",), open_axes=(), kinds=None, ir=8, twice=False):
    """A node is (op, inputs, outputs, attributes); `open_axes` of the first input have names."""
    cases.append((name, opset, nodes, inputs, constants or {}, outputs, open_axes, kinds or {}, ir, twice))


def graph_of(nodes):
    made = []
    for op, sources, results, attributes in nodes:
        domain = "com.microsoft" if op.startswith("ms.") else ""
        made.append(h.make_node(op.removeprefix("ms."), sources, results, domain=domain, **attributes))
    return made


x4 = {"x": floats(2, 4, 6, 5)}
x3 = {"x": floats(2, 3, 4)}
spread = {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 4) % 7 - 3}

# What changed, version by version.
case("batch-norm", 7, [("Conv", ["x", "w"], ["c"], {"kernel_shape": [3, 3]}),
                       ("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"], {})], x4,
     {"w": floats(3, 4, 3, 3), "s": floats(3), "b": floats(3), "m": floats(3), "v": np.abs(floats(3)) + 0.5})
case("clip", 7, [("Clip", ["x"], ["y"], {"min": -0.5, "max": 0.25})], x3)
case("clip-half", 10, [("Cast", ["x"], ["h"], {"to": T.FLOAT16}), ("Clip", ["h"], ["c"], {"min": 0.0}),
                        ("Cast", ["c"], ["y"], {"to": T.FLOAT})], {"x": halves(3, 4)})
case("dropout", 7, [("Dropout", ["x"], ["d"], {"ratio": 0.5}), ("Relu", ["d"], ["y"], {})], x3)
case("dropout-of-12", 12, [("Dropout", ["x"], ["d"], {}), ("Neg", ["d"], ["y"], {})], x3)
case("softmax-of-axis-1", 7, [("Softmax", ["x"], ["y"], {})], x3)
case("softmax-of-the-last", 11, [("Softmax", ["x"], ["y"], {"axis": 2})], x3, open_axes=(0, 1))
case("softmax-of-axis-0", 9, [("LogSoftmax", ["x"], ["y"], {"axis": 0})], x3, open_axes=(0,))
case("hardmax", 11, [("Hardmax", ["x"], ["y"], {"axis": -2})], x3)
case("slice", 9, [("Slice", ["x"], ["y"], {"starts": [1, -3], "ends": [9, -1], "axes": [1, 2]})], x3)
case("slice-of-10", 10, [("Slice", ["x", "a", "e", "i", "s"], ["y"], {})], x3,
     {"a": np.array([-1]), "e": np.array([-9]), "i": np.array([2]), "s": np.array([-2])})
case("pad", 7, [("Pad", ["x"], ["y"], {"pads": [0, 1, 0, 2, 0, 1], "value": 1.5})], x3)
case("pad-by-reflection", 10, [("Pad", ["x"], ["y"], {"pads": [0, 0, 2, 0, 0, 1], "mode": "reflect"})], x3)
case("split", 7, [("Split", ["x"], ["a", "b"], {"axis": 2, "split": [1, 3]}), ("Concat", ["b", "a"], ["y"], {"axis": 2})], x3)
case("split-evenly", 13, [("Split", ["x"], ["a", "b"], {"axis": 2}), ("Sub", ["a", "b"], ["y"], {})], x3)
case("squeeze", 7, [("Unsqueeze", ["x"], ["u"], {"axes": [0, 2]}), ("Relu", ["u"], ["r"], {}),
                    ("Squeeze", ["r"], ["y"], {"axes": [2]})], x3)
case("squeeze-of-all", 11, [("Unsqueeze", ["x"], ["u"], {"axes": [-1]}), ("Exp", ["u"], ["e"], {}),
                            ("Squeeze", ["e"], ["y"], {})], x3)
case("reduce", 7, [("ReduceSum", ["x"], ["a"], {"axes": [1]}), ("ReduceMean", ["x"], ["b"], {"axes": [1]}),
                   ("ReduceMax", ["x"], ["c"], {"axes": [1]}), ("ReduceL2", ["x"], ["d"], {"axes": [1]}),
                   ("Concat", ["a", "b", "c", "d"], ["y"], {"axis": 1})], x3)
case("reduce-of-13", 13, [("ReduceSum", ["x", "i"], ["a"], {"keepdims": 0}), ("ReduceMin", ["x"], ["b"], {"axes": [-1], "keepdims": 0}),
                          ("Add", ["a", "b"], ["y"], {})], x3, {"i": np.array([-1])})
case("top-k", 9, [("TopK", ["x"], ["y", "i"], {"k": 2})], x3, outputs=("y", "i"), kinds={"i": T.INT64})
case("top-k-of-10", 10, [("TopK", ["x", "k"], ["y", "i"], {"axis": 1})], x3, {"k": np.array([2])}, outputs=("y", "i"),
     kinds={"i": T.INT64})
case("broadcast", 8, [("Sum", ["x", "a"], ["s"], {}), ("Max", ["s", "b"], ["m"], {}), ("Mean", ["m", "x"], ["y"], {})], x3,
     {"a": floats(4), "b": floats(3, 1)})
case("upsample-nearest", 7, [("Upsample", ["x"], ["y"], {"scales": [1.0, 1.0, 2.0, 3.0]})], x4)
case("upsample-linear", 9, [("Upsample", ["x", "s"], ["y"], {"mode": "linear"})], x4,
     {"s": np.array([1, 1, 2, 2], np.float32)})
case("resize-nearest", 10, [("Resize", ["x", "s"], ["y"], {})], x4, {"s": np.array([1, 1, 1.5, 2], np.float32)})
case("resize-nearest-smaller", 10, [("Resize", ["x", "s"], ["y"], {})], x4, {"s": np.array([1, 1, 0.5, 0.4], np.float32)})
case("resize-linear", 10, [("Resize", ["x", "s"], ["y"], {"mode": "linear"})], x4, {"s": np.array([1, 1, 1.7, 0.6], np.float32)})
case("resize-to-sizes", 11, [("Resize", ["x", "r", "s", "z"], ["y"], {"mode": "linear"})], x4,
     {"r": np.zeros(0, np.float32), "s": np.zeros(0, np.float32), "z": np.array([2, 4, 9, 7])})
case("resize-cubic", 12, [("Resize", ["x", "r", "s"], ["y"], {"mode": "cubic", "coordinate_transformation_mode": "align_corners"})],
     x4, {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)})
case("scatter", 9, [("Scatter", ["x", "i", "u"], ["y"], {"axis": 1})], x3,
     {"i": np.array([[[2, 0, 1, 2]], [[0, 1, 1, 0]]]), "u": floats(2, 1, 4)})
case("one-hot", 9, [("OneHot", ["x", "d", "v"], ["y"], {})], {"x": np.array([[0, 2], [1, 3]])},
     {"d": np.array(4), "v": np.array([0.5, 2], np.float32)})
case("roi-align", 10, [("RoiAlign", ["x", "r", "i"], ["y"], {"output_height": 2, "output_width": 2})], x4,
     {"r": np.array([[0, 0, 3, 4], [1, 1, 4, 5]], np.float32), "i": np.array([0, 1])})
case("max-pool", 8, [("MaxPool", ["x"], ["y", "i"], {"kernel_shape": [2, 2], "strides": [2, 2]})], x4)
case("average-pool", 10, [("AveragePool", ["x"], ["y"], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1})], x4)
case("grid-sample", 16, [("GridSample", ["x", "g"], ["y"], {"mode": "bilinear"})], x4,
     {"g": (random.random((2, 3, 3, 2)) * 2 - 1).astype(np.float32)})
case("grid-sample-cubic", 16, [("GridSample", ["x", "g"], ["y"], {"mode": "bicubic", "align_corners": 1})], x4,
     {"g": (random.random((2, 3, 3, 2)) * 2 - 1).astype(np.float32)})
case("dft", 17, [("DFT", ["x"], ["y"], {"axis": 1})], {"x": floats(1, 8, 1)})
case("group-norm", 18, [("GroupNormalization", ["x", "s", "b"], ["y"], {"num_groups": 2})], x4, {"s": floats(2), "b": floats(2)})
case("gelu-of-22", 22, [("Gelu", ["x"], ["g"], {}), ("Identity", ["g"], ["y"], {})], x3)
case("rms-norm-of-23", 23, [("RMSNormalization", ["x", "s"], ["y"], {})], x3, {"s": floats(4)})
case("newest", 25, [("Reshape", ["x", "s"], ["r"], {}), ("Relu", ["r"], ["y"], {})], x3, {"s": np.array([0, -1])}, ir=13)

# Exporters' habits.
case("weights-as-inputs", 9, [("MatMul", ["x", "w"], ["m"], {}), ("Add", ["m", "b"], ["y"], {})], {"x": floats(2, 4)},
     {"w": floats(4, 3), "b": floats(3)}, ir=3, twice=True)
case("shape-arithmetic", 11, [
    ("Shape", ["x"], ["s"], {}), ("Gather", ["s", "zero"], ["n"], {"axis": 0}), ("Gather", ["s", "one"], ["t"], {"axis": 0}),
    ("Unsqueeze", ["n"], ["n1"], {"axes": [0]}), ("Unsqueeze", ["t"], ["t1"], {"axes": [0]}),
    ("Concat", ["n1", "t1", "heads", "width"], ["to"], {"axis": 0}), ("Reshape", ["x", "to"], ["r"], {}),
    ("Transpose", ["r"], ["p"], {"perm": [0, 2, 1, 3]}), ("Transpose", ["p"], ["y"], {"perm": [0, 1, 3, 2]})],
    {"x": floats(2, 3, 8)}, {"zero": np.array(0), "one": np.array(1), "heads": np.array([2]), "width": np.array([4])},
    open_axes=(0, 1))
case("quantised", 13, [
    ("QuantizeLinear", ["x", "xs", "xz"], ["xq"], {}), ("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], {}),
    ("DequantizeLinear", ["w", "ws", "wz"], ["wd"], {"axis": 0}), ("Conv", ["xd", "wd"], ["y"], {"kernel_shape": [1, 1]})],
    x4, {"xs": np.float32(0.05), "xz": np.uint8(128), "w": random.integers(-127, 127, (3, 4, 1, 1)).astype(np.int8),
         "ws": np.array([0.01, 0.02, 0.03], np.float32), "wz": np.zeros(3, np.int8)})
case("half", 17, [("Cast", ["x"], ["h"], {"to": T.FLOAT16}), ("MatMul", ["h", "w"], ["m"], {}), ("Relu", ["m"], ["r"], {}),
                  ("Cast", ["r"], ["y"], {"to": T.FLOAT})], {"x": halves(2, 4)}, {"w": floats(4, 3).astype(np.float16)})


def body(name, nodes, inputs, outputs, constants=None):
    values = [h.make_tensor_value_info(n, t, s) for n, t, s in inputs]
    answers = [h.make_tensor_value_info(n, t, s) for n, t, s in outputs]
    tensors = [numpy_helper.from_array(v, n) for n, v in (constants or {}).items()]
    return h.make_graph(graph_of(nodes), name, values, answers, tensors)


# Bodies: names that both branches have, operators of old sets and constants inside.
loop = body("loop", [("Unsqueeze", ["now"], ["v"], {"axes": [0]}), ("Add", ["v", "step"], ["a"], {}), ("Squeeze", ["a"], ["next"], {"axes": [0]}),
                     ("Identity", ["go"], ["on"], {})],
            [("i", T.INT64, []), ("go", T.BOOL, []), ("now", T.FLOAT, [2, 3, 4])],
            [("on", T.BOOL, []), ("next", T.FLOAT, [2, 3, 4])], {"step": np.float32(0.5)})
case("loop", 11, [("Neg", ["x"], ["u"], {}), ("Loop", ["n", "yes", "u"], ["y"], {"body": loop})], x3,
     {"n": np.array(3), "yes": np.array(True)})
larger = body("larger", [("Relu", ["x"], ["a"], {}), ("ReduceSum", ["a"], ["r"], {"axes": [1]})], [], [("r", T.FLOAT, None)])
smaller = body("smaller", [("Neg", ["x"], ["a"], {}), ("ReduceSum", ["a"], ["q"], {"axes": [1]})], [], [("q", T.FLOAT, None)])
case("branch-that-is-known", 11, [("Shape", ["x"], ["s"], {}), ("Gather", ["s", "two"], ["d"], {}), ("Greater", ["d", "two"], ["c"], {}),
                                  ("If", ["c"], ["y"], {"then_branch": larger, "else_branch": smaller})], x3, {"two": np.array(2)})
case("branch-that-is-open", 11, [("ReduceSum", ["x"], ["t"], {"keepdims": 0}), ("Greater", ["t", "z"], ["c"], {}),
                                 ("If", ["c"], ["y"], {"then_branch": larger, "else_branch": smaller})], x3, {"z": np.float32(0)})


def main() -> None:
    folder = Path(sys.argv[1])
    ort.set_default_logger_severity(3)
    for name, opset, nodes, inputs, constants, outputs, open_axes, kinds, ir, twice in cases:
        values = []
        for i, (key, array) in enumerate(inputs.items()):
            shape = [f"d{axis}" if i == 0 and axis in open_axes else size for axis, size in enumerate(array.shape)]
            values.append(h.make_tensor_value_info(key, TYPES[str(array.dtype)], shape))
        tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
        if twice:
            values += [h.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
        kind = TYPES[str(next(iter(inputs.values())).dtype)] if name != "one-hot" else T.FLOAT
        # Exporters often leave the shape open; of what a loop answers nobody can tell it.
        shape = [None] * 3 if name == "loop" else None
        answers = [h.make_tensor_value_info(o, kinds.get(o, kind), shape) for o in outputs]
        graph = h.make_graph(graph_of(nodes), name, values, answers, tensors)
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=ir)
        path = folder / f"{name}-{opset:02}.onnx"
        path.write_bytes(model.SerializeToString())
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        results = session.run(list(outputs), inputs)
        tensors = {f"input.{k}": v for k, v in inputs.items()} | {f"output.{k}": v for k, v in zip(outputs, results)}
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, str(path.with_suffix(".safetensors")))
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
