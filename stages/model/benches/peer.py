"""Runs the networks in PyTorch and onnxruntime, for the benches of model and onnx.

Reads requests from stdin, one per line, and prints wall and CPU seconds for each. Requests are
`train NETWORK BATCH` (one epoch, PyTorch) and `forward NETWORK BATCH` (one pass, onnxruntime),
where NETWORK may be an ONNX file. The argument is the number of threads.
"""

import sys
import time

import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

CLIPS, SIDE, CLASSES = 128, 100, 10
FREE_WIDTH = 128  # of a clip, if the model accepts any
NORM = ["weight", "bias", "running_mean", "running_var"]
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


class Graph:
    """Builds the ONNX model of a network by hand, since PyTorch's exporter needs more packages."""

    def __init__(self, network):
        state = network.state_dict()
        self.tensors = [numpy_helper.from_array(v.numpy(), k) for k, v in state.items() if v.dim()]
        self.nodes = []

    def node(self, kind, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def norm(self, x, layer):
        return self.node("BatchNormalization", x, *(f"{layer}.{part}" for part in NORM))

    def normed(self, x, layer, stride, pad):
        x = self.node("Conv", x, f"{layer}.0.weight", strides=[stride] * 2, pads=[pad] * 4)
        return self.norm(x, f"{layer}.1")

    def linear(self, x, layer):
        return self.node("Gemm", x, f"{layer}.weight", f"{layer}.bias", transB=1)

    def baseline(self, x):
        for layer, pad in [(1, 2), (2, 0)]:
            x = self.node("Conv", x, f"conv{layer}.weight", f"conv{layer}.bias", pads=[pad] * 4)
            x = self.node("LeakyRelu", self.norm(x, f"norm{layer}"), alpha=0.01)
            x = self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = self.norm(self.linear(self.node("Flatten", x), "linear1"), "norm3")
        return self.linear(self.node("LeakyRelu", x, alpha=0.01), "linear2")

    def resnet(self, x):
        x = self.node("Relu", self.normed(self.norm(x, "input_norm"), "stem", 2, 1))
        for block in ["blocks.0", "blocks.1", "blocks.2"]:
            inner = self.node("Relu", self.normed(x, f"{block}.first", 2, 1))
            inner = self.normed(inner, f"{block}.second", 1, 1)
            shortcut = self.normed(x, f"{block}.shortcut", 2, 0)
            x = self.node("Relu", self.node("Add", inner, shortcut))
        return self.linear(self.node("Flatten", self.node("GlobalAveragePool", x)), "linear")

    def session(self, layers):
        value = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        output = value(layers("x"), "N", CLASSES)
        clips = value("x", "N", 1, SIDE, SIDE)
        graph = helper.make_graph(self.nodes, "g", [clips], [output], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return session_of(model.SerializeToString())


def session_of(model):
    """Creates a session from the path or the bytes of a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[1])
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


networks = {"baseline": Baseline(), "resnet": ResNet()}
optimizers = {
    name: torch.optim.AdamW(network.parameters(), lr=2e-4, weight_decay=0.01)
    for name, network in networks.items()
}
images, targets = torch.rand(CLIPS, 1, SIDE, SIDE) * 4 - 2, torch.arange(CLIPS) % CLASSES
graphs = {name: Graph(network) for name, network in networks.items()}
sessions = {name: graph.session(getattr(graph, name)) for name, graph in graphs.items()}
clips = {name: images.numpy() for name in sessions}
for name, network in networks.items():
    with torch.inference_mode():
        [found] = sessions[name].run(None, {"x": clips[name]})
        apart = abs(network.eval()(images).numpy() - found).max()
    assert apart < 1e-4, f"the ONNX model of {name} differs from PyTorch by {apart}"


def train(name, batch):
    network, optimizer = networks[name].train(), optimizers[name]
    for order in torch.randperm(CLIPS).split(batch):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[order]), targets[order]).backward()
        optimizer.step()


def forward(name, batch):
    [x] = sessions[name].get_inputs()
    for first in range(0, CLIPS, batch):
        sessions[name].run(None, {x.name: clips[name][first : first + batch]})


def load(file):
    sessions[file] = session_of(file)
    [x] = sessions[file].get_inputs()
    shape = [side if isinstance(side, int) else FREE_WIDTH for side in x.shape[1:]]
    clips[file] = (torch.rand(CLIPS, *shape) * 4 - 2).numpy()


print(f"torch {torch.__version__.split('+')[0]}, onnxruntime {onnxruntime.__version__}", flush=True)
for line in sys.stdin:
    what, name, batch = line.split()
    if name not in sessions:
        load(name)
    wall, cpu = time.perf_counter(), time.process_time()
    {"train": train, "forward": forward}[what](name, int(batch))
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
