"""What onnx and onnxruntime say of a model: python run_onnx.py FILE INPUT < SHAPE and float32 values.

Checks the file, runs it, and prints the probabilities, a line a clip. The first line of stdin is the shape.
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
    print(*(repr(float(share)) for share in row))
