"""Logistic regression by gradient descent."""
import json
import math
import os

with open(os.environ["REPRO_PARAMS"]) as file:
    epochs = json.load(file)["train"]["epochs"]
rows = [[float(x) for x in line.split(",")] for line in open("data/clean.csv")]
rows = rows[: len(rows) * 3 // 4]
w = [0.0, 0.0, 0.0]
for epoch in range(1, epochs + 1):
    for x, y, label in rows:
        error = 1 / (1 + math.exp(-(w[0] + w[1] * x + w[2] * y))) - label
        w = [w[0] - 0.002 * error, w[1] - 0.002 * error * x, w[2] - 0.002 * error * y]
    if epoch % 10 == 0:
        print(f"epoch {epoch}")
with open("model.json", "w") as file:
    json.dump(w, file)
