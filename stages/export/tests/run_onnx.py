"""Checks and runs an ONNX model: python run_onnx.py FILE INPUT < VALUES

Prints the probabilities, one line per clip. The first line of stdin is the shape; the float32
values of the input follow.
"""

import sys

import numpy
import onnx
import onnxruntime

file, name = sys.argv[1:]
onnx.checker.check_model(file, full_check=True)
shape = [int(length) for length in sys.stdin.buffer.readline().split()]
values = numpy.frombuffer(sys.stdin.buffer.read(), dtype="<f4").reshape(shape)
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
(rows,) = session.run(["probabilities"], {name: values})
for row in rows:
    print(*(repr(float(value)) for value in row))
