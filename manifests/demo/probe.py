"""Does the compiled kernel draw what numpy draws? Exit 0: yes; 1: no."""

import sys

import cppn
import numpy as np

values = np.random.default_rng(7).uniform(-1.6, 1.6, cppn.WEIGHTS).astype(np.float32)
picture = np.frombuffer(cppn.paint(values.tobytes(), 32, 32), dtype=np.uint8)

# The centre pixel by hand: x = y = radius = 0, only the biases count.
hidden = np.tanh(values[:64].reshape(16, 4)[:, 3])
for layer in range(4):
    hidden = np.tanh(values[64 + layer * 256 : 64 + (layer + 1) * 256].reshape(16, 16) @ hidden)
centre = 255 / (1 + np.exp(-(values[-48:].reshape(3, 16) @ hidden)))
drawn = picture.reshape(32, 32, 3)[16, 16].astype(np.float32)
print("kernel:", drawn, "numpy:", centre.astype(int))
sys.exit(0 if np.abs(drawn - centre).max() <= 2 else 1)
