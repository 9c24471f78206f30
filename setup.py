"""Builds the native kernels; everything else about the package is in pyproject.toml.

The kernels are a plain shared library behind C functions, loaded by simlstm/rnn/backends/native/library.py: no Python
and no torch headers, so one file serves every Python and torch version. kernels.cpp is compiled once for each
instruction set that the compiler knows. Without a working C++ compiler the package installs all the same, and torch
operations run instead.
"""

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

NATIVE = Path("simlstm/rnn/backends/native")
# No -ffast-math and no contraction: results are what the source says, on every processor.
FLAGS = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-ffp-contract=off"]
FLAGS += ["-Wall", "-Wextra", "-Wno-uninitialized", "-Wno-maybe-uninitialized"]  # GCC's own intrinsics trip over these
# For sanitizers, in compiling and in linking.
EXTRA_FLAGS = os.environ.get("SIMLSTM_NATIVE_FLAGS", "").split()

AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mprefer-vector-width=512"]
# name → (C++ name of the table of kernels, compiler flags); portable must compile, the others may fail.
INSTRUCTION_SETS: dict[str, tuple[str, list[str]]] = {"portable": ("kPortableKernels", [])}
if platform.machine().lower() in {"x86_64", "amd64"}:
    INSTRUCTION_SETS |= {
        "avx2": ("kAvx2Kernels", AVX2),
        "avx512": ("kAvx512Kernels", AVX512),
        "avx512-bf16": ("kAvx512Bf16Kernels", [*AVX512, "-mavx512bf16", "-mavx512vnni"]),
    }


def sources_hash() -> str:
    """Name the sources; library.py compares, so that a library of other sources is never used."""
    files = sorted([*NATIVE.glob("*.cpp"), *NATIVE.glob("*.h")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class BuildNative(build_ext):
    """Compiles kernels.cpp once for each instruction set and links one library."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return a file name without Python's version: ctypes loads it, not the import system."""
        return str(Path(*fullname.split("."))) + ".so"

    def build_extension(self, ext: Extension) -> None:
        """Build the one extension there is."""
        objects, flags = [], []
        for name, (table, set_flags) in INSTRUCTION_SETS.items():
            try:
                objects += self._compile_set(name, table, set_flags)
            except CompileError:
                if name == "portable":
                    raise
                self.warn(f"this compiler makes no kernels for {name}; they are left out")
            else:
                flags.append(f"-DSIMLSTM_HAS_{name.upper().replace('-', '_')}")
        objects += self.compiler.compile(
            [source for source in ext.sources if Path(source).name != "kernels.cpp"],
            output_dir=str(Path(self.build_temp) / "shared"),
            macros=[("SIMLSTM_SOURCES", f'"{sources_hash()}"')],
            extra_postargs=[*FLAGS, *flags, *EXTRA_FLAGS],
        )
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(ext.name), extra_postargs=["-pthread", *EXTRA_FLAGS], target_lang="c++"
        )

    def _compile_set(self, name: str, table: str, flags: list[str]) -> list[str]:
        compiled: list[str] = self.compiler.compile(
            [str(NATIVE / "kernels.cpp")],
            output_dir=str(Path(self.build_temp) / name),
            macros=[
                ("SIMLSTM_ISA", "simlstm_" + name.replace("-", "_")),
                ("SIMLSTM_KERNELS", table),
                ("SIMLSTM_NAME", f'"{name}"'),
            ],
            extra_postargs=[*FLAGS, *flags, *EXTRA_FLAGS],
        )
        return compiled


class AnyPythonWheel(bdist_wheel):
    """Tags the wheel for the platform, not for one Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the wheel's tags."""
        return "py3", "none", super().get_tag()[2]


def extension() -> Extension:
    """Describe the library; ``optional``: a failed build is reported and passed over."""
    sources: list[Any] = sorted(str(path) for path in NATIVE.glob("*.cpp"))
    return Extension("simlstm.rnn.backends.native._simlstm", sources=sources, language="c++", optional=True)


setup(ext_modules=[extension()], cmdclass={"build_ext": BuildNative, "bdist_wheel": AnyPythonWheel})
