"""Writes the data that the example in the README starts from."""
import os
import random

random.seed(3)
os.makedirs("data/raw", exist_ok=True)
for part in ["2023", "2024"]:
    with open(f"data/raw/{part}.csv", "w") as file:
        for _ in range(200):
            x, y = random.gauss(0, 1), random.gauss(0, 1)
            label = int(x + 2 * y + random.gauss(0, 0.5) > 2)
            second = "" if random.random() < 0.05 else f"{y:.3f}"
            print(f"{x:.3f}", second, label, sep=",", file=file)
