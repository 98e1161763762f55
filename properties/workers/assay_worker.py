#!/usr/bin/env python3
"""The Python door: puts a Python function under test. Standard library only, no build step.

    assay verify --kernel my_kernel.py:function

The function is called as function(call). What a call holds:

    call.operation            "paged-mqa-logits", ... (docs/contracts.md section 3)
    call.inputs, call.outputs lists of tensors, and each by its name: call.q, call.weights, call.logits ...
    call.ints, call.reals     the operation's numbers by name: call.ints["block_tokens"]
    tensor.shape, .strides    strides in elements
    tensor.dtype              "float32", "bfloat16", "float16", "float8_e4m3fn", "uint8", "int32", "int64"
    tensor.ptr, .bytes        address and size in memory
    tensor.memory()           a memoryview of its bytes (host tensors; inputs are read-only pages)
    tensor.__dlpack__()       torch.from_dlpack(tensor) and the like, without a copy. float8 goes out as uint8
                              codes, because few consumers know the type.

It writes the outputs in place and returns nothing. `raise NotImplementedError` declines a shape. Attributes
of the function tell the rest:

    function.operations = ["paged-mqa-logits"]   default: that one
    function.claims = "determinism=bitwise"      default: no claims (docs/plugin.md)
    function.device = "cuda"                     default: "cpu"

Every tensor lies between pages of nobody, on the host and on a CUDA device; a step outside ends this
process, not the campaign. The protocol that this file speaks is described in docs/plugin.md.
"""
import ctypes
import faulthandler
import importlib.util
import json
import os
import resource
import struct
import sys
import time
import traceback

COMMANDS, REPLIES, MEMORY = 3, 4, 5
PAGE, GUARD, FAR_GUARD = 4096, 1 << 20, 5 << 30
OPERATIONS = {1: "paged-mqa-logits", 2: "mqa-logits", 3: "schedule-metadata", 4: "paged-attention", 5: "merge",
              6: "cache-write"}
INTS = {1: ["block_tokens", "clean"], 2: ["clean", "compressed"], 3: ["unit_tokens", "parts"],
        4: ["causal", "window", "order"], 5: [], 6: ["block_tokens"]}
REALS = {4: ["softmax_scale", "soft_cap"]}
DTYPES = {(0, 32): "int32", (0, 64): "int64", (1, 8): "uint8", (2, 32): "float32", (2, 16): "float16",
          (2, 64): "float64", (4, 16): "bfloat16", (10, 8): "float8_e4m3fn", (12, 8): "float8_e5m2"}
IDLE, LOADING, PLANNING, RUNNING = range(4)
MEMORY_LIMIT = 8 << 30

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE = 1, 2, 16, 32, 0x4000
MAP_FAILED = ctypes.c_void_p(-1).value


def map_pages(address, size, protection, flags, descriptor=-1, offset=0):
    got = libc.mmap(address, size, protection, flags, descriptor, offset)
    if got == MAP_FAILED:
        raise OSError(ctypes.get_errno(), "mmap")
    return got


def round_up(value, unit):
    return (value + unit - 1) // unit * unit


# ---- DLPack 1.x, the unversioned struct that every consumer takes.


class DLDevice(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class DLDataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", DLDevice), ("ndim", ctypes.c_int32), ("dtype", DLDataType),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("byte_offset", ctypes.c_uint64)]


class DLManagedTensor(ctypes.Structure):
    pass


Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(DLManagedTensor))
DLManagedTensor._fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", Deleter)]
new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


# What consumers hold of the campaign's memory, by address: until they give it back, be it after the call.
lent = {}


@Deleter
def give_back(managed):
    lent.pop(ctypes.addressof(managed.contents), None)


class Tensor:
    def __init__(self, spec, device, ptr):
        self.name, self.role = spec["name"], spec["role"]
        self.code, self.bits = spec["code"], spec["bits"]
        self.shape, self.strides = tuple(spec["shape"]), tuple(spec["strides"])
        self.dtype = DTYPES.get((self.code, self.bits), f"code {self.code}, {self.bits} bits")
        self.bytes, self.ptr, self.device = spec["bytes"], ptr, device

    def memory(self):
        if self.device != "cpu":
            raise TypeError(f"{self.name} lies on the device; use torch.from_dlpack or tensor.ptr")
        view = memoryview((ctypes.c_uint8 * self.bytes).from_address(self.ptr)).cast("B")
        return view.toreadonly() if self.role == "input" else view

    def __dlpack_device__(self):
        return (2, 0) if self.device == "cuda" else (1, 0)

    def __dlpack__(self, stream=None, **_):
        count = len(self.shape)
        shape, strides = (ctypes.c_int64 * count)(*self.shape), (ctypes.c_int64 * count)(*self.strides)
        code, bits = (1, 8) if self.bits == 8 and self.code >= 10 else (self.code, self.bits)
        managed = DLManagedTensor()
        managed.tensor = DLTensor(self.ptr, DLDevice(*self.__dlpack_device__()), count, DLDataType(code, bits, 1),
                                  shape, strides, 0)
        managed.deleter = give_back  # the memory itself is the campaign's
        lent[ctypes.addressof(managed)] = (managed, shape, strides)
        return new_capsule(ctypes.addressof(managed), b"dltensor", None)


# ---- Tensors on the host: pages of the shared file between pages of nobody.


class HostCall:
    device = "cpu"

    def __init__(self, command):
        self.reserved, self.tensors = [], []
        for spec in command["tensors"]:
            protection = PROT_READ if spec["role"] == "input" else PROT_READ | PROT_WRITE
            self.tensors.append(Tensor(spec, "cpu", self.map(spec, protection)))

    def map(self, spec, protection):
        guard = FAR_GUARD if spec["islands"] else GUARD
        total = spec["pages"] + 2 * guard
        base = map_pages(None, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
        self.reserved.append((base, total))
        islands = spec["islands"] or ([[-spec["data"], spec["pages"] - spec["data"]]] if spec["pages"] else [])
        exposed = 0
        for begin, end in islands:
            first = max((spec["data"] + begin) // PAGE * PAGE, exposed)
            last = round_up(spec["data"] + end, PAGE)
            if first < last:
                map_pages(base + guard + first, last - first, protection, MAP_SHARED | MAP_FIXED, MEMORY,
                          spec["file"] + first)
                exposed = last
        return base + guard + spec["data"]

    def before_run(self, margin):
        pass

    def after_run(self, margin, reply):
        return True

    def close(self):
        for base, total in self.reserved:
            libc.munmap(base, total)


# ---- Tensors on a CUDA device: the driver's virtual memory, through ctypes.


class Driver:
    """cuMem* of libcuda, on the primary context, which PyTorch and Triton use, too."""

    def __init__(self):
        self.lib = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", 0)
        context, device = ctypes.c_void_p(), ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        # CUmemAllocationProp: type pinned (1), no handle type, location device (1), id 0.
        self.properties = struct.pack("<iiiiQQ", 1, 0, 1, 0, 0, 0)
        size = ctypes.c_size_t()
        self.call("cuMemGetAllocationGranularity", ctypes.byref(size), self.properties, 0)
        self.page = size.value
        self.arenas = {}

    def call(self, name, *arguments):
        result = getattr(self.lib, name)(*arguments)
        if result != 0:
            raise RuntimeError(f"{name}: CUDA driver error {result}")

    def arena(self, slot, total, read_only):
        """(kernel's address, harness's address) of `total` mapped bytes; kept for the life of the process."""
        key = (slot, total, read_only)
        if key not in self.arenas:
            guard = round_up(GUARD, self.page)
            handle = ctypes.c_uint64()
            self.call("cuMemCreate", ctypes.byref(handle), ctypes.c_size_t(total), self.properties, ctypes.c_uint64(0))

            def mapped(rights):
                address = ctypes.c_uint64()
                self.call("cuMemAddressReserve", ctypes.byref(address), ctypes.c_size_t(total + 2 * guard),
                          ctypes.c_size_t(0), ctypes.c_uint64(0), ctypes.c_uint64(0))
                base = ctypes.c_uint64(address.value + guard)
                self.call("cuMemMap", base, ctypes.c_size_t(total), ctypes.c_size_t(0), handle, ctypes.c_uint64(0))
                access = struct.pack("<iii", 1, 0, rights)  # device 0; 1 read, 3 read and write
                self.call("cuMemSetAccess", base, ctypes.c_size_t(total), access, ctypes.c_size_t(1))
                return base.value

            harness = mapped(3)
            self.arenas[key] = (mapped(1) if read_only else harness, harness)
        return self.arenas[key]


class DeviceCall:
    device = "cuda"
    driver = None

    def __init__(self, command):
        if DeviceCall.driver is None:
            DeviceCall.driver = Driver()
        driver, self.mapped, self.tensors, self.places = DeviceCall.driver, [], [], []
        for slot, spec in enumerate(command["tensors"]):
            if spec["islands"]:
                raise NotImplementedError("pools of gigabytes are for compiled plug-ins")
            size = spec["bytes"]
            total = round_up(max(size, 1), driver.page)
            align = max(command["alignment"], 16)
            data = 0 if command["front"] else (total - size) // align * align
            kernel, harness = driver.arena(slot, total, spec["role"] == "input")
            host = None
            if size:
                base = map_pages(None, spec["pages"], PROT_READ | PROT_WRITE, MAP_SHARED, MEMORY, spec["file"])
                self.mapped.append((base, spec["pages"]))
                host = base + spec["data"]
            self.places.append((harness, data, size, total, host))
            self.tensors.append(Tensor(spec, "cuda", kernel + data))

    def before_run(self, margin):
        driver = self.driver
        for harness, data, size, total, host in self.places:
            driver.call("cuMemsetD8_v2", ctypes.c_uint64(harness), ctypes.c_uint8(margin), ctypes.c_size_t(total))
            if size:
                driver.call("cuMemcpyHtoD_v2", ctypes.c_uint64(harness + data), ctypes.c_void_p(host),
                            ctypes.c_size_t(size))
        driver.call("cuCtxSynchronize")

    def after_run(self, margin, reply):
        driver = self.driver
        try:
            driver.call("cuCtxSynchronize")
        except RuntimeError as error:
            illegal = "error 700" in str(error) or "error 716" in str(error)
            reply.update(status="fault", text=f"{'IllegalAddress: ' if illegal else ''}{error}")
            return False
        for index, (harness, data, size, total, host) in enumerate(self.places):
            if self.tensors[index].role == "input":
                continue
            pages = bytearray(total)
            driver.call("cuMemcpyDtoH_v2", (ctypes.c_uint8 * total).from_buffer(pages), ctypes.c_uint64(harness),
                        ctypes.c_size_t(total))
            for begin, end in ((0, data), (data + size, total)):
                if pages[begin:end] != bytes([margin]) * (end - begin):
                    at = next(i for i in range(begin, end) if pages[i] != margin)
                    reply["touched"] = {"tensor": index, "offset": at - data}
                    break
            if size:
                ctypes.memmove(host, (ctypes.c_uint8 * size).from_buffer(pages, data), size)
        return True

    def close(self):
        for base, size in self.mapped:
            libc.munmap(base, size)


class Call:
    def __init__(self, command, memory):
        operation = command["op"]
        self.operation = OPERATIONS.get(operation, str(operation))
        self.inputs = [t for t in memory.tensors if t.role == "input"]
        self.outputs = [t for t in memory.tensors if t.role == "output"]
        self.ints = dict(zip(INTS.get(operation, []), command["ints"]))
        self.reals = dict(zip(REALS.get(operation, []), command["reals"]))
        for tensor in memory.tensors:
            setattr(self, tensor.name, tensor)


def load_function(name):
    path, _, function = name.rpartition(":")
    spec = importlib.util.spec_from_file_location("kernel_under_test", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        raise ImportError(f"{path} has no function {function}")
    return getattr(module, function)


def reply(message):
    data = (json.dumps(message) + "\n").encode()
    while data:
        data = data[os.write(REPLIES, data):]


def hello(name, function):
    device = getattr(function, "device", "cpu")
    if device not in ("cpu", "cuda"):
        raise ImportError(f"device: expected cpu or cuda, got {device}")
    numbers = {word: number for number, word in OPERATIONS.items()}
    kernels = []
    for operation in getattr(function, "operations", ["paged-mqa-logits"]):
        if operation not in numbers:
            raise ImportError(f"operations: expected some of {', '.join(numbers)}, got {operation}")
        kernels.append({"name": name, "op": numbers[operation], "claims": getattr(function, "claims", ""),
                        "device": 1 if device == "cpu" else 2, "plan": False})
    return {"schema": "assay.worker/1", "kernels": kernels}


def serve(function, control):
    offered = getattr(function, "operations", ["paged-mqa-logits"])
    memory, call = None, None
    for line in os.fdopen(COMMANDS, "r"):
        command = json.loads(line)
        answer = {"id": command["id"], "status": "ok"}
        usable = True
        try:
            if command["command"] == "load":
                control[0] = LOADING
                if memory is not None:
                    memory.close()
                memory, call = None, None
                if OPERATIONS.get(command["op"]) not in offered:
                    raise NotImplementedError("not offered")
                try:
                    memory = (DeviceCall if getattr(function, "device", "cpu") == "cuda" else HostCall)(command)
                except NotImplementedError:
                    raise
                except (OSError, RuntimeError) as error:
                    answer.update(status="no-device", text=str(error))
                else:
                    call = Call(command, memory)
                    answer["workspace_bytes"] = 0
                    control[0] = IDLE
            elif command["command"] == "run":
                memory.before_run(command["margin"])
                control[0] = RUNNING
                begin = time.perf_counter()
                function(call)
                answer["run_seconds"] = time.perf_counter() - begin
                usable = memory.after_run(command["margin"], answer)
                control[0] = IDLE
            else:
                answer.update(status="failed", text="unknown command " + command["command"])
        except NotImplementedError as error:
            answer.update(status="unsupported", text=str(error))
            control[0] = IDLE
        except Exception as error:  # the kernel's own failure is an answer, too
            where = traceback.extract_tb(error.__traceback__)[-1]
            answer.update(status="failed", text=f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})")
            control[0] = IDLE
        reply(answer)
        if not usable:
            os._exit(0)


def main():
    if len(sys.argv) != 2 or ":" not in sys.argv[1]:
        sys.exit("usage: assay_worker.py FILE.py:FUNCTION   (started by assay, with descriptors 3, 4 and 5)")
    libc.prctl(1, 9)  # die with the campaign
    faulthandler.disable()  # a crash is for the campaign to see
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    page = map_pages(None, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, MEMORY, 0)
    control = (ctypes.c_uint32 * 4).from_address(page)
    try:
        function = load_function(sys.argv[1])
        first = hello(sys.argv[1].rpartition(":")[2], function)
    except BaseException as error:
        reply({"schema": "assay.worker/1", "error": f"{type(error).__name__}: {error}"})
        os._exit(0)
    if getattr(function, "device", "cpu") == "cpu":  # a function without end to its appetite fails here
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    reply(first)
    serve(function, control)
    os._exit(0)


if __name__ == "__main__":
    main()
