"""Small models of every operator, with what ONNX Runtime computes for them. Run by oracle_test.cpp.

usage: oracle_models.py FOLDER    (writes FOLDER/CASE/{model.onnx,input_k.pb,output_k.pb}; prints the operators that are there)
"""

import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
random = np.random.default_rng(7)


def real(*shape):
    return random.uniform(-1, 1, shape).astype(np.float32)


def positive(*shape):
    return random.uniform(0.1, 2, shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def node(kind, inputs, outputs="y", **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


CASES = {}


def case(name, nodes, inputs, constants=None, outputs="y"):
    """inputs, constants: arrays by name. The element types of outputs are inferred by ONNX."""
    assert name not in CASES, name
    CASES[name] = (nodes if isinstance(nodes, list) else [nodes], inputs, constants or {}, outputs.split())


def elementwise():
    for kind in ("Abs", "Neg", "Exp", "Floor", "Ceil", "Tanh", "Sigmoid", "Erf", "Relu", "Identity", "HardSwish"):
        case(kind.lower(), node(kind, "x"), {"x": 3 * real(2, 5, 7)})
    for kind in ("Acos", "Asin", "Asinh", "Atan", "Cos", "Cosh", "Sign", "Sin", "Sinh", "Softsign"):
        case(kind.lower(), node(kind, "x"), {"x": 0.9 * real(2, 5, 7)})
    for kind in ("Sqrt", "Log", "Reciprocal"):
        case(kind.lower(), node(kind, "x"), {"x": positive(4, 9)})
    case("leaky_relu", node("LeakyRelu", "x", alpha=0.3), {"x": real(3, 11)})
    case("hard_sigmoid", node("HardSigmoid", "x", alpha=0.3, beta=0.4), {"x": 4 * real(3, 11)})
    case("clip", node("Clip", "x low high"), {"x": 2 * real(5, 6)}, {"low": np.float32(-0.5), "high": np.float32(0.25)})
    case("clip_below", node("Clip", "x low"), {"x": 2 * real(5, 6)}, {"low": np.float32(-0.5)})
    for kind in ("Add", "Sub", "Mul", "Max", "Min"):
        case(kind.lower() + "_broadcast", node(kind, "a b"), {"a": real(3, 1, 5), "b": real(4, 1)})
    case("div", node("Div", "a b"), {"a": real(3, 5), "b": positive(3, 5)})
    case("add_itself", node("Add", "x x"), {"x": real(6, 6)})
    case("sum_of_three", node("Sum", "a b c"), {"a": real(2, 3), "b": real(3), "c": real(2, 1)})
    for power in (2.0, 3.0, 0.5, -1.0):
        case(f"pow_{power}", node("Pow", "x p"), {"x": positive(3, 4)}, {"p": np.float32(power)})
    for kind in ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"):
        case(kind.lower(), node(kind, "a b"), {"a": np.round(3 * real(4, 5)), "b": np.round(3 * real(4, 5))})
    masks = {"p": random.integers(0, 2, (3, 4)).astype(bool), "q": random.integers(0, 2, (4,)).astype(bool)}
    case("and", node("And", "p q"), masks)
    case("or", node("Or", "p q"), masks)
    case("not", node("Not", "p"), {"p": masks["p"]})
    case("where", node("Where", "p a b"), {"p": masks["p"], "a": real(3, 4), "b": real(1, 4)})
    case("cast_mask", node("Cast", "p", to=TensorProto.FLOAT), {"p": masks["p"]})


def contractions():
    case("matmul", node("MatMul", "a b"), {"a": real(7, 13), "b": real(13, 5)})
    case("matmul_batches", node("MatMul", "a b"), {"a": real(2, 3, 4, 6), "b": real(3, 6, 5)})
    case("matmul_vector", node("MatMul", "a b"), {"a": real(4, 6), "b": real(6)})
    case("matmul_of_data_and_weights", node("MatMul", "a b"), {"a": real(2, 9, 33)}, {"b": real(33, 17)})
    for ta in (0, 1):
        for tb in (0, 1):
            a, b = real(6, 5) if not ta else real(5, 6), real(5, 4) if not tb else real(4, 5)
            case(f"gemm_{ta}{tb}", node("Gemm", "a b c", transA=ta, transB=tb, alpha=0.5, beta=2.0), {"a": a, "b": b}, {"c": real(4)})
    convolutions = {
        "plain": ((1, 3, 9, 11), (5, 3, 3, 3), {}),
        "padded": ((2, 3, 8, 8), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
        "unequal_pads": ((1, 2, 7, 9), (3, 2, 3, 2), {"pads": [2, 0, 1, 1]}),
        "strided": ((1, 4, 12, 10), (6, 4, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 3]}),
        "dilated": ((1, 2, 12, 12), (3, 2, 3, 3), {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
        "grouped": ((1, 6, 7, 7), (9, 2, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
        "depthwise": ((1, 8, 9, 9), (8, 1, 3, 3), {"group": 8, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
        "pointwise": ((2, 16, 5, 5), (24, 16, 1, 1), {}),
        "same_upper": ((1, 3, 8, 9), (4, 3, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        "same_lower": ((1, 3, 8, 9), (4, 3, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
        "one_dimension": ((2, 4, 17), (6, 4, 5), {"pads": [2, 2], "strides": [2]}),
        "three_dimensions": ((1, 2, 5, 6, 7), (3, 2, 2, 3, 2), {"pads": [0, 1, 1, 1, 1, 0]}),
    }
    for name, (x, w, attributes) in convolutions.items():
        case("conv_" + name, node("Conv", "x w b", **attributes), {"x": real(*x)}, {"w": real(*w), "b": real(w[0])})


def pooling():
    shape = (2, 3, 10, 11)
    for kind in ("MaxPool", "AveragePool"):
        low = kind.lower()
        case(low, node(kind, "x", kernel_shape=[3, 2]), {"x": real(*shape)})
        case(low + "_strided", node(kind, "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), {"x": real(*shape)})
        case(low + "_ceil", node(kind, "x", kernel_shape=[3, 3], strides=[2, 3], ceil_mode=1), {"x": real(*shape)})
    case("maxpool_dilated", node("MaxPool", "x", kernel_shape=[2, 3], dilations=[2, 2]), {"x": real(*shape)})
    case("averagepool_with_pads", node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 0, 1, 2], count_include_pad=1), {"x": real(*shape)})
    case("globalaveragepool", node("GlobalAveragePool", "x"), {"x": real(2, 5, 7, 6)})
    case("globallppool", node("GlobalLpPool", "x", p=3), {"x": real(2, 5, 7, 6)})
    case("globalmaxpool", node("GlobalMaxPool", "x"), {"x": real(2, 5, 7, 6)})
    for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
        case(kind.lower(), node(kind, "x", axes=[1, -1], keepdims=0), {"x": positive(3, 4, 5)})
    case("reducesum", node("ReduceSum", "x axes", keepdims=1), {"x": real(3, 4, 5)}, {"axes": ints(0, 2)})
    case("reducemean_all", node("ReduceMean", "x"), {"x": real(3, 4, 5)})


def normalisation():
    for axis in (0, 1, -1):
        case(f"softmax_{axis}", node("Softmax", "x", axis=axis), {"x": 8 * real(4, 5, 6)})
    case("softmax_large", node("Softmax", "x"), {"x": 100 * real(3, 50)})
    case("logsoftmax", node("LogSoftmax", "x", axis=1), {"x": 4 * real(3, 7)})
    case("layernorm", node("LayerNormalization", "x s b", axis=-1, epsilon=1e-4), {"x": real(4, 6, 32)}, {"s": real(32), "b": real(32)})
    case("layernorm_two_axes", node("LayerNormalization", "x s", axis=1), {"x": real(3, 4, 8)}, {"s": real(4, 8)})
    case("batchnorm", node("BatchNormalization", "x s b m v", epsilon=1e-3), {"x": real(2, 4, 5, 5)},
         {"s": real(4), "b": real(4), "m": real(4), "v": positive(4)})
    case("conv_batchnorm_relu", [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("BatchNormalization", "c s b m v", "n"), node("Relu", "n")],
         {"x": real(1, 3, 8, 8)}, {"w": real(4, 3, 3, 3), "s": positive(4), "b": real(4), "m": real(4), "v": positive(4)})


def shapes():
    x = {"x": real(2, 3, 4, 5)}
    case("reshape", node("Reshape", "x s"), x, {"s": ints(0, -1, 10)})
    case("flatten", node("Flatten", "x", axis=2), x)
    case("transpose", node("Transpose", "x", perm=[2, 0, 3, 1]), x)
    case("transpose_all", node("Transpose", "x"), x)
    case("squeeze", node("Squeeze", "x a"), {"x": real(1, 3, 1, 4)}, {"a": ints(0, 2)})
    case("unsqueeze", node("Unsqueeze", "x a"), {"x": real(3, 4)}, {"a": ints(0, -1)})
    case("concat", node("Concat", "a b c", axis=1), {"a": real(2, 3, 4), "b": real(2, 1, 4), "c": real(2, 5, 4)})
    case("concat_of_results", [node("Relu", "a", "r"), node("Concat", "r b r", axis=-1)], {"a": real(3, 4), "b": real(3, 2)})
    case("split", node("Split", "x s", "y z", axis=2), x, {"s": ints(1, 3)}, "y z")
    case("slice", node("Slice", "x b e a s"), {"x": real(6, 9, 8)}, {"b": ints(1, 8), "e": ints(6, -10), "a": ints(0, 1), "s": ints(2, -3)})
    case("pad", node("Pad", "x p v"), {"x": real(3, 4)}, {"p": ints(1, 0, 2, 3), "v": np.float32(0.5)})
    case("pad_negative", node("Pad", "x p"), {"x": real(5, 6)}, {"p": ints(-1, 2, 0, -2)})
    case("expand", node("Expand", "x s"), {"x": real(3, 1)}, {"s": ints(2, 1, 6)})
    case("gather", node("Gather", "x i", axis=1), {"x": real(3, 7, 4)}, {"i": np.array([[0, 6], [-1, 3]], np.int64)})
    case("dropout", node("Dropout", "x"), x)
    case("shuffle", [node("Reshape", "x s", "r"), node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]), node("Reshape", "t u")],
         {"x": real(1, 8, 5, 5)}, {"s": ints(1, 2, 4, 5, 5), "u": ints(1, 8, 5, 5)})
    case("constant", [node("Constant", "", "c", value=numpy_helper.from_array(real(3, 4))), node("Add", "x c")], {"x": real(3, 4)})
    case("constant_of_shape", [node("ConstantOfShape", "s", "c", value=numpy_helper.from_array(np.array([0.5], np.float32))), node("Mul", "x c")],
         {"x": real(2, 4)}, {"s": ints(3, 1, 4)})
    case("size", [node("Size", "x", "n"), node("Unsqueeze", "n a", "s"), node("Reshape", "x s")], {"x": real(3, 4)}, {"a": ints(0)})
    case("shape_arithmetic", [node("Shape", "x", "s"), node("Gather", "s k", "n", axis=0), node("Concat", "n m", "t", axis=0), node("Reshape", "x t")],
         {"x": real(4, 3, 5)}, {"k": ints(0), "m": ints(-1)})
    case("attention", [
        node("MatMul", "q k", "s"), node("Mul", "s c", "t"), node("Where", "p t n", "m"), node("Softmax", "m", "a", axis=-1), node("MatMul", "a v"),
    ], {"q": real(2, 3, 8, 16), "k": real(2, 3, 16, 8), "v": real(2, 3, 8, 16)},
         {"c": np.float32(0.25), "p": np.tril(np.ones((8, 8), bool)), "n": np.float32(-1e4)})
    case("gelu", [node("Div", "x r", "d"), node("Erf", "d", "e"), node("Add", "e o", "a"), node("Mul", "x a", "m"), node("Mul", "m h")],
         {"x": 3 * real(4, 33)}, {"r": np.float32(2**0.5), "o": np.float32(1), "h": np.float32(0.5)})


def write(folder, name):
    nodes, inputs, constants, outputs = CASES[name]
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.asarray(a).dtype), np.asarray(a).shape) for n, a in inputs.items()]
    weights = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, name, infos, [helper.make_empty_tensor_value_info(o) for o in outputs], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    by_name = {v.name: v for v in model.graph.output}
    for o in outputs:
        assert by_name[o].type.HasField("tensor_type"), (name, o)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    results = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(outputs, inputs)
    place = os.path.join(folder, name)
    os.makedirs(place)
    onnx.save(model, os.path.join(place, "model.onnx"))
    for stem, arrays in (("input", inputs.values()), ("output", results)):
        for k, array in enumerate(arrays):
            with open(os.path.join(place, f"{stem}_{k}.pb"), "wb") as file:
                file.write(numpy_helper.from_array(np.asarray(array)).SerializeToString())


if __name__ == "__main__":
    for family in (elementwise, contractions, pooling, normalisation, shapes):
        family()
    for name in CASES:
        write(sys.argv[1], name)
    print(*sorted({n.op_type for nodes, *_ in CASES.values() for n in nodes}))
