"""Measures the model on the rows that training did not see."""
import json
import math

w = json.load(open("model.json"))
rows = [[float(x) for x in line.split(",")] for line in open("data/clean.csv")]
rows = rows[len(rows) * 3 // 4 :]
right, loss = 0, 0.0
for x, y, label in rows:
    chance = 1 / (1 + math.exp(-(w[0] + w[1] * x + w[2] * y)))
    right += (chance > 0.5) == (label == 1)
    loss -= math.log(chance if label else 1 - chance)
with open("metrics.json", "w") as file:
    json.dump({"accuracy": round(right / len(rows), 3), "loss": round(loss / len(rows), 3)}, file)
