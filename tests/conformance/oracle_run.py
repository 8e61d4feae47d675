"""Runs one ONNX model in ONNX Runtime on seeded inputs. Run by zoo_oracle_test.cpp.

usage: oracle_run.py MODEL.onnx FOLDER [LIMIT]    (writes FOLDER/{input_k.pb,output_k.pb}; integer inputs are below LIMIT, 2 if not given)
"""

import sys

import numpy as np
import onnxruntime
from onnx import numpy_helper

path, folder = sys.argv[1:3]
limit = int(sys.argv[3]) if len(sys.argv) > 3 else 2
random = np.random.default_rng(11)
session = onnxruntime.InferenceSession(path)
feeds = {}
for k, x in enumerate(session.get_inputs()):
    if x.type == "tensor(int64)":
        feeds[x.name] = random.integers(0, limit, x.shape).astype(np.int64)
    else:
        feeds[x.name] = random.uniform(-1, 1, x.shape).astype(np.float32)
    with open(f"{folder}/input_{k}.pb", "wb") as file:
        file.write(numpy_helper.from_array(feeds[x.name], x.name).SerializeToString())
for k, y in enumerate(session.run(None, feeds)):
    with open(f"{folder}/output_{k}.pb", "wb") as file:
        file.write(numpy_helper.from_array(np.ascontiguousarray(y), f"y{k}").SerializeToString())
