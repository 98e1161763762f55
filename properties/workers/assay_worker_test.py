#!/usr/bin/env python3
"""The Python door without a campaign: what a function is handed, and what happens when it oversteps."""
import ctypes
import gc
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

import assay_worker as door

pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
pointer_of.restype = ctypes.c_void_p
pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


def spec(name, role="input", code=2, bits=32, shape=(3, 4), strides=(8, 1), size=80, file=4096, data=4016, islands=()):
    return {"name": name, "role": role, "code": code, "bits": bits, "shape": list(shape), "strides": list(strides),
            "bytes": size, "islands": list(islands), "file": file, "pages": 4096, "data": data}


class Dlpack(unittest.TestCase):
    def consumed(self, tensor):
        address = pointer_of(tensor.__dlpack__(), b"dltensor")
        return ctypes.cast(address, ctypes.POINTER(door.DLManagedTensor))

    def test_a_capsule_says_what_the_tensor_is_and_copies_nothing(self):
        managed = self.consumed(door.Tensor(spec("q"), "cpu", 0x5000))
        tensor = managed.contents.tensor
        self.assertEqual((tensor.data, tensor.device.type, tensor.ndim, tensor.byte_offset), (0x5000, 1, 2, 0))
        self.assertEqual((tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes), (2, 32, 1))
        self.assertEqual((tensor.shape[:2], tensor.strides[:2]), ([3, 4], [8, 1]))
        managed.contents.deleter(managed)

    def test_float8_goes_out_as_codes(self):
        managed = self.consumed(door.Tensor(spec("q", code=10, bits=8), "cpu", 0x5000))
        self.assertEqual((managed.contents.tensor.dtype.code, managed.contents.tensor.dtype.bits), (1, 8))
        managed.contents.deleter(managed)

    def test_a_capsule_outlives_its_tensor_until_it_is_given_back(self):
        managed = self.consumed(door.Tensor(spec("q"), "cpu", 0x5000))
        gc.collect()
        self.assertEqual(managed.contents.tensor.shape[0], 3)
        self.assertEqual(len(door.lent), 1)
        managed.contents.deleter(managed)
        self.assertEqual(len(door.lent), 0)

    def test_a_device_tensor_has_no_host_memory(self):
        tensor = door.Tensor(spec("q"), "cuda", 0x5000)
        self.assertEqual(tensor.__dlpack_device__(), (2, 0))
        self.assertRaises(TypeError, tensor.memory)


class Guards(unittest.TestCase):
    """In child processes, for each of them dies."""

    def ends_by(self, body):
        child = os.fork()
        if child == 0:
            file = tempfile.TemporaryFile()
            os.ftruncate(file.fileno(), 16 * 4096)
            os.dup2(file.fileno(), door.MEMORY)
            call = door.HostCall({"tensors": [spec("q"), spec("logits", role="output", file=8192)]})
            try:
                body(*call.tensors)
            except TypeError:
                os._exit(3)
            os._exit(0)
        return os.waitpid(child, 0)[1]

    def test_a_step_behind_a_tensor_ends_the_process(self):
        self.assertEqual(self.ends_by(lambda q, _: ctypes.string_at(q.ptr + q.bytes - 1, 1)), 0)
        self.assertEqual(self.ends_by(lambda q, _: ctypes.string_at(q.ptr + q.bytes, 1)), signal.SIGSEGV)
        self.assertEqual(self.ends_by(lambda q, _: ctypes.string_at(q.ptr - 4017, 1)), signal.SIGSEGV)

    def test_an_input_cannot_be_written_and_an_output_can(self):
        self.assertEqual(self.ends_by(lambda q, _: ctypes.memset(q.ptr, 1, 1)), signal.SIGSEGV)
        self.assertEqual(self.ends_by(lambda q, _: q.memory().__setitem__(0, 1)), 3 << 8)
        self.assertEqual(self.ends_by(lambda _, logits: logits.memory().__setitem__(79, 1)), 0)

    def test_of_a_sparse_tensor_only_the_islands_exist(self):
        def sparse(body):
            def run(*_):
                far = 9 * 4096
                tensor = dict(spec("cache", size=far, islands=[[0, 16], [far - 16, far]], data=0), pages=far)
                body(door.HostCall({"tensors": [tensor]}).tensors[0])
            return run
        self.assertEqual(self.ends_by(sparse(lambda t: ctypes.string_at(t.ptr + t.bytes - 1, 1))), 0)
        self.assertEqual(self.ends_by(sparse(lambda t: ctypes.string_at(t.ptr + 4096, 1))), signal.SIGSEGV)


class Protocol(unittest.TestCase):
    def talk(self, source, function, commands):
        """All replies of a worker to these commands, and how it ended."""
        with tempfile.TemporaryDirectory() as folder:
            kernel, memory = pathlib.Path(folder, "kernel.py"), pathlib.Path(folder, "memory")
            kernel.write_text(source)
            memory.write_bytes(bytes(16 * 4096))
            script = f'exec {sys.executable} {door.__file__} "$0" 3<&0 4>&1 5<>{memory} 0</dev/null 1>&2'
            lines = "".join(json.dumps(c) + "\n" for c in commands)
            done = subprocess.run(["/bin/sh", "-c", script, f"{kernel}:{function}"], input=lines, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
            return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    LOAD = {"command": "load", "id": 1, "op": 1, "tensors": [spec("q"), spec("logits", role="output", file=8192)],
            "front": False, "alignment": 16, "ints": [64, 1], "reals": []}
    RUN = {"command": "run", "id": 2, "plan": True, "hide": True, "margin": 255,
           "workspace": {"file": 0, "pages": 0, "data": 0}}

    def test_a_function_is_described_loaded_and_run(self):
        source = "def f(call):\n  assert call.ints == {'block_tokens': 64, 'clean': 1}\n  call.logits.memory()[0] = 7\nf.claims = 'unit=1'\n"
        replies, code = self.talk(source, "f", [self.LOAD, self.RUN])
        self.assertEqual(code, 0)
        self.assertEqual(replies[0]["kernels"], [{"name": "f", "op": 1, "claims": "unit=1", "device": 1, "plan": False}])
        self.assertEqual([(r["id"], r["status"]) for r in replies[1:]], [(1, "ok"), (2, "ok")])

    def test_what_a_function_raises_is_an_answer_and_the_worker_lives(self):
        source = "def f(call):\n  raise NotImplementedError('odd')\ndef g(call):\n  return bytearray(9 << 30)\ndef h(call):\n  raise SystemExit(4)\n"
        replies, code = self.talk(source, "f", [self.LOAD, self.RUN, self.RUN])
        self.assertEqual([r["status"] for r in replies[2:]], ["unsupported", "unsupported"])
        replies, code = self.talk(source, "g", [self.LOAD, self.RUN, self.RUN])
        self.assertEqual([r["status"] for r in replies[2:]], ["failed", "failed"])
        self.assertIn("MemoryError", replies[2]["text"])
        replies, code = self.talk(source, "h", [self.LOAD, self.RUN])
        self.assertEqual((len(replies), code), (2, 4))

    def test_what_is_not_offered_is_declined_and_what_cannot_be_loaded_is_said(self):
        replies, _ = self.talk("def f(call): pass\n", "f", [dict(self.LOAD, op=2)])
        self.assertEqual(replies[1]["status"], "unsupported")
        self.assertIn("no function g", self.talk("f = 1\n", "g", [])[0][0]["error"])
        self.assertIn("expected some of", self.talk("def f(c): pass\nf.operations = ['x']\n", "f", [])[0][0]["error"])


if __name__ == "__main__":
    unittest.main()
