"""The networks in PyTorch and onnxruntime, for benches/epoch.rs: a line in, the seconds it took out.

Lines: `train NETWORK BATCH` (one epoch), `forward NETWORK BATCH` (one pass: the baseline with onnxruntime, the
residual network with PyTorch). The argument: how many threads.
"""

import sys
import time

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

CLIPS, SIDE, CLASSES = 128, 100, 10
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(0)


class Baseline(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 5, padding=2), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 16, 5), nn.BatchNorm2d(16)
        self.linear1, self.norm3 = nn.Linear(16 * 23 * 23, 256), nn.BatchNorm1d(256)
        self.linear2 = nn.Linear(256, CLASSES)
        self.leaky, self.pool, self.dropout = nn.LeakyReLU(0.01), nn.MaxPool2d(2), nn.Dropout(0.5)

    def forward(self, x):
        x = self.pool(self.leaky(self.norm1(self.conv1(x))))
        x = self.pool(self.leaky(self.norm2(self.conv2(x))))
        x = self.dropout(self.leaky(self.norm3(self.linear1(x.flatten(1)))))
        return self.linear2(x)


def normed(before, after, side, stride):
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, padding=side // 2, bias=False), nn.BatchNorm2d(after)
    )


class Block(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.first, self.second = normed(before, after, 3, 2), normed(after, after, 3, 1)
        self.shortcut = normed(before, after, 1, 2)

    def forward(self, x):
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_norm, self.stem = nn.BatchNorm2d(1), normed(1, 16, 3, 2)
        self.blocks = nn.Sequential(Block(16, 32), Block(32, 64), Block(64, 128))
        self.dropout, self.linear = nn.Dropout(0.5), nn.Linear(128, CLASSES)

    def forward(self, x):
        x = self.blocks(torch.relu(self.stem(self.input_norm(x))))
        return self.linear(self.dropout(x.mean((2, 3))))


def session(network):
    """The network as an ONNX model, built by hand: the exporter needs packages of its own."""
    tensors = [numpy_helper.from_array(v.numpy(), k) for k, v in network.state_dict().items() if v.dim()]
    norm = lambda x, n, y: helper.make_node(
        "BatchNormalization", [x, f"{n}.weight", f"{n}.bias", f"{n}.running_mean", f"{n}.running_var"], [y]
    )
    gemm = lambda x, n, y: helper.make_node("Gemm", [x, f"{n}.weight", f"{n}.bias"], [y], transB=1)
    nodes = []
    for layer, source, pads, target in [(1, "x", [2] * 4, "p1"), (2, "p1", [0] * 4, "p2")]:
        weights = [f"conv{layer}.weight", f"conv{layer}.bias"]
        nodes += [
            helper.make_node("Conv", [source, *weights], [f"c{layer}"], pads=pads),
            norm(f"c{layer}", f"norm{layer}", f"n{layer}"),
            helper.make_node("LeakyRelu", [f"n{layer}"], [f"a{layer}"], alpha=0.01),
            helper.make_node("MaxPool", [f"a{layer}"], [target], kernel_shape=[2, 2], strides=[2, 2]),
        ]
    nodes += [
        helper.make_node("Flatten", ["p2"], ["f"]),
        gemm("f", "linear1", "l1"),
        norm("l1", "norm3", "n3"),
        helper.make_node("LeakyRelu", ["n3"], ["a3"], alpha=0.01),
        gemm("a3", "linear2", "y"),
    ]
    value = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, "g", [value("x", "N", 1, SIDE, SIDE)], [value("y", "N", CLASSES)], tensors
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[1])
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


networks = {"baseline": Baseline(), "resnet": ResNet()}
optimizers = {
    name: torch.optim.AdamW(network.parameters(), lr=2e-4, weight_decay=0.01)
    for name, network in networks.items()
}
images, targets = torch.rand(CLIPS, 1, SIDE, SIDE) * 4 - 2, torch.arange(CLIPS) % CLASSES
onnx = session(networks["baseline"])
clips = images.numpy()


def train(name, batch):
    network, optimizer = networks[name].train(), optimizers[name]
    for order in torch.randperm(CLIPS).split(batch):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[order]), targets[order]).backward()
        optimizer.step()


def forward(name, batch):
    network = networks[name].eval()
    for first in range(0, CLIPS, batch):
        if name == "baseline":
            onnx.run(None, {"x": np.ascontiguousarray(clips[first : first + batch])})
        else:
            with torch.inference_mode():
                network(images[first : first + batch])


print(f"torch {torch.__version__.split('+')[0]}, onnxruntime {onnxruntime.__version__}", flush=True)
for line in sys.stdin:
    what, name, batch = line.split()
    wall, cpu = time.perf_counter(), time.process_time()
    {"train": train, "forward": forward}[what](name, int(batch))
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
