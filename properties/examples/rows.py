"""Merge and cache write in plain Python, through the Python door.

    assay verify --kernel properties/examples/rows.py:merge --cases 60
    assay verify --kernel properties/examples/rows.py:cache_write --cases 60

The other functions are wrong on purpose, each as real kernels have been.
"""
import math
import struct


def load(tensor, element):
    at, memory = element * tensor.bits // 8, tensor.memory()
    if tensor.dtype == "bfloat16":
        return struct.unpack("<f", bytes(2) + bytes(memory[at:at + 2]))[0]
    return struct.unpack_from("<f" if tensor.dtype == "float32" else "<e", memory, at)[0]


def store(tensor, element, value):
    at, memory = element * tensor.bits // 8, tensor.memory()
    if tensor.dtype != "bfloat16":
        return struct.pack_into("<f" if tensor.dtype == "float32" else "<e", memory, at, value)
    code = struct.unpack("<I", struct.pack("<f", value))[0]
    memory[at:at + 2] = struct.pack("<H", (code + 0x7FFF + (code >> 16 & 1)) >> 16)


def weights(lse_a, lse_b):
    largest = max(lse_a, lse_b)
    if largest == -math.inf:
        return 0.0, 0.0, largest
    a, b = math.exp(lse_a - largest), math.exp(lse_b - largest)
    return a / (a + b), b / (a + b), largest + math.log(a + b)


def merge(call, weights=weights):
    rows, heads, dims = call.out.shape
    if rows * heads * dims > 8192:
        raise NotImplementedError("Python is slow")

    def at(tensor, row, head):
        return row * tensor.strides[0] + head * tensor.strides[1]

    for row in range(rows):
        for head in range(heads):
            lses = [load(lse, at(lse, row, head)) for lse in (call.lse_a, call.lse_b)]
            *both, lse = weights(*lses)
            for d in range(dims):
                total = 0.0
                for part, own, weight in zip((call.out_a, call.out_b), lses, both):
                    if own != -math.inf:  # of a part that saw nothing, out may hold anything
                        total += weight * load(part, at(part, row, head) + d)
                store(call.out, at(call.out, row, head) + d, total)
            store(call.lse, at(call.lse, row, head), lse)


merge.operations = ["merge"]
merge.claims = "determinism=bitwise batch-invariant"


def no_part_is_nan(call):  # -inf - -inf
    def naive(lse_a, lse_b):
        a, b, lse = weights(lse_a, lse_b)
        return (a, b, lse) if lse != -math.inf else (a, b, math.nan)

    merge(call, naive)


no_part_is_nan.operations = ["merge"]


def cache_write(call, slot_of=lambda slot, slots: slot if slot >= 0 else None):
    if len(call.outputs) != 2 or call.k.dtype != call.k_cache.dtype:
        raise NotImplementedError("copies only")
    tokens, heads, dims = call.k.shape
    block_tokens, slots = call.ints["block_tokens"], call.k_cache.shape[0] * call.ints["block_tokens"]
    for token in range(tokens):
        slot = slot_of(struct.unpack_from("<q", call.slots.memory(), 8 * token * call.slots.strides[0])[0], slots)
        if slot is None:
            continue
        for rows, cache in ((call.k, call.k_cache), (call.v, call.v_cache)):
            size, source, target = rows.bits // 8, rows.memory(), cache.memory()
            for head in range(heads):
                begin = (token * rows.strides[0] + head * rows.strides[1]) * size
                to = (slot // block_tokens * cache.strides[0] + slot % block_tokens * cache.strides[1] +
                      head * cache.strides[2]) * size
                target[to:to + dims * size] = source[begin:begin + dims * size]


cache_write.operations = ["cache-write"]
cache_write.claims = "determinism=bitwise batch-invariant block-renaming-invariant"


def counts_from_the_end(call):  # slot -1 as Python has it: the last one
    cache_write(call, lambda slot, slots: slot % slots if slots > 0 else None)


counts_from_the_end.operations = ["cache-write"]
