"""Every ONNX test case that ONNX Runtime runs: does it give what the standard expects, and where it does not, does Switchyard?

Usage: cross_check.py CASES CONFORM.json
CASES is the folder of cases, CONFORM.json the report of `switchyard conform CASES --chip CHIP --format json`. Prints counts, and each case in
which the two disagree about passing, with ONNX Runtime's reason.
"""
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

onnxruntime.set_default_logger_severity(4)


def value(path, declared):
    data = open(path, "rb").read()
    kind = declared.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def same(got, want):
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(same(g, w) for g, w in zip(got, want))
    if want is None:
        return got is None
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return False
    if want.dtype.kind in "OUS":
        return [str(x) for x in got.flat] == [x.decode() if isinstance(x, bytes) else str(x) for x in want.flat]
    if want.dtype.kind == "V" or want.dtype.name.startswith(("bfloat", "float8", "float4", "int4", "uint4", "int2", "uint2")):
        if got.dtype == np.uint8 and want.dtype.itemsize == 1:
            got = got.view(want.dtype)  # how ONNX Runtime hands out 8-bit floating numbers
        return np.array_equal(got.astype(np.float64), want.astype(np.float64), equal_nan=True)
    return np.allclose(got.astype(np.complex128), want.astype(np.complex128), rtol=1e-3, atol=1e-7, equal_nan=True)


def judged(folder):
    """passed, differs, or why ONNX Runtime does not run it."""
    model = onnx.load(os.path.join(folder, "model.onnx"))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever it does not support
        return "not run: " + str(error).strip().split("\n")[0][:160]
    initialized = {t.name for t in model.graph.initializer}
    inputs = [v for v in model.graph.input if v.name not in initialized]
    for data in sorted(d for d in os.listdir(folder) if d.startswith("test_data_set_")):
        at = os.path.join(folder, data)
        try:
            feeds = {v.name: value(os.path.join(at, f"input_{k}.pb"), v) for k, v in enumerate(inputs)}
            got = session.run(None, feeds)
            want = [value(os.path.join(at, f"output_{k}.pb"), v) for k, v in enumerate(model.graph.output)]
        except Exception as error:
            return "not run: " + str(error).strip().split("\n")[0][:160]
        for name, g, w in zip((v.name for v in model.graph.output), got, want):
            if not same(g, w):
                return f"differs: output {name}"
    return "passed"


def main():
    root, report = sys.argv[1], json.load(open(sys.argv[2]))
    ours = {c["case"]: c["why"] for kind in ("failed", "unsupported") for c in report[kind]}
    counts, rows = {}, []
    for kind in ("node", "simple", "pytorch-operator", "pytorch-converted"):
        folder = os.path.join(root, kind)
        for name in sorted(os.listdir(folder)):
            if not os.path.isdir(os.path.join(folder, name, "test_data_set_0")):
                continue
            theirs, case = judged(os.path.join(folder, name)), f"{kind}/{name}"
            passes = case not in ours
            group = theirs.split(":")[0]
            counts[(group, passes)] = counts.get((group, passes), 0) + 1
            if group == "differs" or (group == "passed" and not passes):
                rows.append((case, theirs, "passed" if passes else ours[case]))
    for (group, passes), n in sorted(counts.items()):
        print(f"ONNX Runtime {group}, Switchyard {'passed' if passes else 'did not pass'}: {n}")
    for case, theirs, mine in rows:
        print(f"{case}: ONNX Runtime {theirs}; Switchyard {mine}")


main()
