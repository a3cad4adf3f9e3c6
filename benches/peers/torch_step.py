"""The local training step in PyTorch, for comparison: the same models, batch sizes, optimiser and threads.

python3 torch_step.py digits THREADS STEPS CHANNELS HIDDEN BATCH
python3 torch_step.py text THREADS STEPS LAYERS WIDTH HEADS CONTEXT BATCH

prints the median seconds of a step, and the version, as JSON
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F


class Digits(torch.nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, channels, 3)
        self.hidden = torch.nn.Linear(36 * channels, hidden)
        self.output = torch.nn.Linear(hidden, 10)

    def forward(self, x):
        x = F.relu(self.conv(x)).flatten(1)
        return self.output(F.relu(self.hidden(x)))


def normalise(x):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)


class Block(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.merge = (
            torch.nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.up = torch.nn.Linear(width, 4 * width, bias=False)
        self.down = torch.nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        windows, context, width = x.shape
        n = normalise(x)
        split = lambda t: t.view(windows, context, self.heads, -1).transpose(1, 2)
        a = F.scaled_dot_product_attention(
            split(self.query(n)), split(self.key(n)), split(self.value(n)), is_causal=True
        )
        x = x + self.merge(a.transpose(1, 2).reshape(windows, context, width))
        return x + self.down(F.relu(self.up(normalise(x))))


class Text(torch.nn.Module):
    def __init__(self, layers, width, heads, context):
        super().__init__()
        self.embedding = torch.nn.Embedding(256, width)
        self.position = torch.nn.Parameter(torch.randn(context, width) * 0.05)
        self.blocks = torch.nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.output = torch.nn.Linear(width, 256, bias=False)

    def forward(self, x):
        x = self.embedding(x) + self.position
        for block in self.blocks:
            x = block(x)
        return self.output(normalise(x))


def main():
    task, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if task == "digits":
        channels, hidden, batch = map(int, sys.argv[4:7])
        model = Digits(channels, hidden)
        x, y = torch.rand(batch, 1, 8, 8), torch.randint(0, 10, (batch,))
        loss_of = lambda: F.cross_entropy(model(x), y)
    else:
        layers, width, heads, context, batch = map(int, sys.argv[4:9])
        model = Text(layers, width, heads, context)
        text = torch.randint(0, 256, (batch, context + 1))
        x, y = text[:, :-1], text[:, 1:].reshape(-1)
        loss_of = lambda: F.cross_entropy(model(x).view(-1, 256), y)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    times = []
    for step in range(steps + 5):
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        optimiser.step()
        loss.item()
        if step >= 5:
            times.append(time.perf_counter() - began)
    print(json.dumps({"seconds": statistics.median(times), "version": torch.__version__}))


main()
