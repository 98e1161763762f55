"""Paged MQA logits in PyTorch and in Triton, on the GPU, through the Python door.

    assay verify --kernel properties/examples/logits_torch.py:with_torch
    assay verify --kernel properties/examples/logits_torch.py:with_triton

Tensors come over as DLPack without a copy; float8 as uint8 codes, viewed here as what they are.
"""
import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # with_torch needs none
    triton = None


def limits_of(call):
    batch, next_n = call.q.shape[:2]
    contexts = torch.from_dlpack(call.contexts)
    if contexts.dim() == 2:
        return contexts.reshape(-1).tolist()
    return [c - next_n + i + 1 for c in contexts.tolist() for i in range(next_n)]


def with_torch(call):
    if 0 in call.logits.shape:
        return
    q = torch.from_dlpack(call.q).contiguous().view(torch.float8_e4m3fn).float()
    weights, cache = torch.from_dlpack(call.weights), torch.from_dlpack(call.cache)
    table, logits = torch.from_dlpack(call.block_table), torch.from_dlpack(call.logits)
    batch, next_n, heads, dims = call.q.shape
    tokens = call.ints["block_tokens"]
    for row, limit in enumerate(limits_of(call)):
        if call.ints["clean"]:
            logits[row, max(limit, 0):] = float("-inf")
        if limit <= 0:
            continue
        blocks = cache[table[row // next_n, : -(-limit // tokens)].long()]
        keys = blocks[:, : tokens * dims].reshape(-1, dims).view(torch.float8_e4m3fn).float()[:limit]
        scales = blocks[:, tokens * dims: tokens * (dims + 4)].contiguous().view(torch.float32).reshape(-1)[:limit]
        scores = (q[row // next_n, row % next_n].double() @ keys.double().T).float()
        scores = torch.where(scores > 0, scores, 0.0)  # relu of NaN is 0 (docs/contracts.md)
        logits[row, :limit] = ((weights[row][:, None] * scores).sum(0) * scales).to(logits.dtype)


with_torch.device = "cuda"
with_torch.claims = "acc=fp32 align=16"

if triton is not None:

    @triton.jit
    def logits_kernel(q, weights, cache, table, limits, out, next_n, columns, q_row, w_row, cache_row, table_row, out_row,
                      HEADS: tl.constexpr, DIMS: tl.constexpr, TOKENS: tl.constexpr, CLEAN: tl.constexpr):
        row, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
        slot, dim, head = tl.arange(0, TOKENS), tl.arange(0, DIMS), tl.arange(0, HEADS)
        limit = tl.load(limits + row)
        t = block * TOKENS + slot
        if block * TOKENS < limit:
            base = cache + tl.load(table + row // next_n * table_row + block).to(tl.int64) * cache_row
            # Slots past the limit are nobody's: they are not loaded.
            live = t < limit
            key = tl.load(base + slot[:, None] * DIMS + dim[None, :], mask=live[:, None], other=0).to(tl.float8e4nv, bitcast=True).to(tl.float32)
            scale = tl.load((base + TOKENS * DIMS).to(tl.pointer_type(tl.float32)) + slot, mask=live, other=0.0)
            query = tl.load(q + row * q_row + head[:, None] * DIMS + dim[None, :]).to(tl.float8e4nv, bitcast=True).to(tl.float32)
            score = tl.dot(key, tl.trans(query), input_precision="ieee")
            score = tl.where(score > 0, score, 0.0)
            weight = tl.load(weights + row * w_row + head)
            value = tl.sum(score * weight[None, :], axis=1) * scale
            tl.store(out + row * out_row + t, value, mask=live)
        if CLEAN:
            tl.store(out + row * out_row + t, float("-inf"), mask=(t >= limit) & (t < columns))

    def with_triton(call):
        batch, next_n, heads, dims = call.q.shape
        tokens = call.ints["block_tokens"]
        compact = call.q.strides[2] == dims and call.q.strides[1] == heads * dims and call.q.strides[0] == next_n * heads * dims
        if not compact or heads not in (32, 64) or dims not in (32, 64, 128) or tokens not in (16, 32, 64, 128):
            raise NotImplementedError("compact q, 32 or 64 heads, blocks of 16 to 128")
        if 0 in call.logits.shape:
            return
        tensors = [torch.from_dlpack(t) for t in (call.q, call.weights, call.cache, call.block_table, call.logits)]
        q, weights, cache, table, logits = tensors
        limits = torch.tensor(limits_of(call), dtype=torch.int32, device="cuda")
        grid = (batch * next_n, -(-call.logits.shape[1] // tokens))
        logits_kernel[grid](q, weights, cache, table, limits, logits, next_n, logits.shape[1], heads * dims, weights.stride(0),
                            cache.stride(0), table.stride(0), logits.stride(0), heads, dims, tokens, call.ints["clean"] != 0)

    with_triton.device = "cuda"
    with_triton.claims = "determinism=bitwise batch-invariant acc=fp32 align=16"
