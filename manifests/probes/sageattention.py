"""Does SageAttention compute attention on this GPU? An import proves nothing: the kernels are launched and compared
with PyTorch's own attention. Exit 0: they agree; 1: broken; 2: this machine's GPU is not supported."""

from __future__ import annotations

import sys

SUPPORTED = {(8, 0), (8, 6), (8, 9), (9, 0), (12, 0), (12, 1)}
"""Compute capabilities that `sageattn` has a path for; it raises for every other one."""
CLOSE = 0.99
"""Smallest cosine similarity with exact attention; int8 and fp8 give about 0.999, noise about 0."""


def main() -> int:
    try:
        import torch
    except ImportError as error:
        print(f"PyTorch does not import: {error}")
        return 1
    if not torch.cuda.is_available():
        print("no CUDA device is visible")
        return 2
    capability = torch.cuda.get_device_capability()
    name = f"{torch.cuda.get_device_name()} (compute capability {capability[0]}.{capability[1]})"
    if capability not in SUPPORTED:
        print(f"{name} has no SageAttention kernel")
        return 2
    try:
        from sageattention import sageattn
    except Exception as error:  # its extensions fail in their own ways when they were built for another PyTorch
        print(f"SageAttention does not import: {error!r}")
        return 1

    torch.manual_seed(7)
    for kind in (torch.float16, torch.bfloat16):
        for width in (64, 128):
            # A length that no tile divides, and keys with an offset: that is what smoothing is for.
            query, key, value = (torch.randn(2, 4, 1039, width, device="cuda", dtype=kind) for _ in range(3))
            key += 0.5
            for causal in (False, True):
                what = f"{str(kind).removeprefix('torch.')}, head size {width}{', causal' if causal else ''}"
                try:
                    ours = sageattn(query, key, value, tensor_layout="HND", is_causal=causal)
                    torch.cuda.synchronize()
                except Exception as error:  # whatever a launch fails with, the kernel is of no use here
                    print(f"{name}: the kernel fails for {what}: {error}")
                    return 1
                exact = torch.nn.functional.scaled_dot_product_attention(
                    query.float(), key.float(), value.float(), is_causal=causal
                )
                likeness = torch.nn.functional.cosine_similarity(ours.float().flatten(), exact.flatten(), dim=0).item()
                if not likeness >= CLOSE:  # also catches NaN
                    print(f"{name}: wrong results for {what}: cosine similarity {likeness:.4f}")
                    return 1
    print(f"{name}: SageAttention agrees with PyTorch")
    return 0


if __name__ == "__main__":
    sys.exit(main())
