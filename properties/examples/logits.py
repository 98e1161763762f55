"""Paged MQA logits in plain Python: the smallest kernel that goes through the Python door.

    assay verify --kernel properties/examples/logits.py:paged_logits --cases 30 --products 4000

The other functions are wrong on purpose: each shows how one kind of fault looks from outside.
"""
import os
import struct
import time

E4M3 = []
for code in range(256):
    sign, exponent, mantissa = -1.0 if code & 128 else 1.0, code >> 3 & 15, code & 7
    if code & 127 == 127:
        E4M3.append(float("nan"))
    elif exponent == 0:
        E4M3.append(sign * mantissa * 2.0**-9)
    else:
        E4M3.append(sign * (1 + mantissa / 8) * 2.0 ** (exponent - 7))


def rows_of(call, lookup):
    q, weights, cache = call.q.memory(), call.weights.memory(), call.cache.memory()
    table, contexts = call.block_table.memory(), call.contexts.memory()
    batch, next_n, heads, dims = call.q.shape
    tokens = call.ints["block_tokens"]
    for b in range(batch):
        for i in range(next_n):
            if len(call.contexts.shape) == 2:
                at = b * call.contexts.strides[0] + i * call.contexts.strides[1]
                limit = struct.unpack_from("<i", contexts, 4 * at)[0]
            else:
                limit = struct.unpack_from("<i", contexts, 4 * b * call.contexts.strides[0])[0] - next_n + i + 1
            row = b * next_n + i
            queries = []
            for h in range(heads):
                begin = b * call.q.strides[0] + i * call.q.strides[1] + h * call.q.strides[2]
                queries.append([E4M3[c] for c in q[begin:begin + dims]])
            w = struct.unpack_from(f"<{heads}f", weights, 4 * row * call.weights.strides[0])
            logits = []
            for t in range(max(limit, 0)):
                column = lookup(t // tokens, t % tokens)
                block = struct.unpack_from("<i", table, 4 * (b * call.block_table.strides[0] + column))[0]
                base, slot = block * call.cache.strides[0], t % tokens
                key = [E4M3[c] for c in cache[base + slot * dims:base + (slot + 1) * dims]]
                scale = struct.unpack_from("<f", cache, base + tokens * dims + 4 * slot)[0]
                total = 0.0
                for h in range(heads):
                    score = sum(x * y for x, y in zip(queries[h], key))
                    total += w[h] * (score if score > 0 else 0.0)
                logits.append(total * scale)
            yield row, logits


def write(call, lookup=lambda column, slot: column):
    if call.logits.dtype != "float32":
        raise NotImplementedError("fp32 logits only")
    out, stride, columns = call.logits.memory(), call.logits.strides[0], call.logits.shape[1]
    for row, logits in rows_of(call, lookup):
        if call.ints["clean"]:
            logits = logits + [float("-inf")] * (columns - len(logits))
        # struct refuses what fp32 cannot hold; a kernel makes it infinite.
        values = [x if abs(x) < 3.5e38 or x != x or abs(x) == float("inf") else float("inf") for x in logits]
        if values:
            struct.pack_into(f"<{len(values)}f", out, 4 * row * stride, *values)


def paged_logits(call):
    write(call)


paged_logits.claims = "determinism=bitwise batch-invariant split-invariant acc=fp32 unit=1"


def wrong_block(call):  # at a block's first slot, the block before
    write(call, lambda column, slot: column - 1 if slot == 0 and column > 0 else column)


wrong_block.claims = "determinism=bitwise acc=fp32 unit=1"


def crashes(call):
    import ctypes

    ctypes.string_at(call.q.ptr + call.q.bytes + 64, 1)


def leaves(call):
    os._exit(0)


def hangs(call):
    time.sleep(3600)


def raises(call):
    raise ValueError("no good")
