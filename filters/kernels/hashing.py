"""MurmurHash3's finalizers (Appleby): bijections in which every bit of the input affects every bit of the output."""

from typing import Any

from numba import uint32, uint64

from pipeline.kernels import inner


@inner(forceinline=True)
def fmix64(x: Any) -> Any:
    """MurmurHash3's 64-bit finalizer (Appleby)."""
    x = (x ^ (x >> uint64(33))) * uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> uint64(33))) * uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> uint64(33))


@inner(forceinline=True)
def fmix32(x: Any) -> Any:
    """MurmurHash3's 32-bit finalizer (Appleby)."""
    x = uint32((x ^ (x >> uint32(16))) * uint32(0x85EBCA6B))
    x = uint32((x ^ (x >> uint32(13))) * uint32(0xC2B2AE35))
    return uint32(x ^ (x >> uint32(16)))
