"""`actcli doctor`: what is installed, what works, and where things are kept."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from actcli.cli import options as opt
from actcli.errors import ResourceError


def command(cache_dir: opt.CacheDir = None) -> None:
    """Print versions, FFmpeg, devices and caches, and decode a built-in clip.

    actcli doctor
    actcli doctor > report.txt        # to send with a bug report
    """
    opt.start_messages(quiet=False)
    from actcli.render.console import printable

    failed = []
    checks: list[tuple[str, Callable[[], Iterator[str]]]] = [
        ("versions", _versions),
        ("ffmpeg", _ffmpeg),
        ("devices", _devices),
        ("model", _model),
        ("cache", lambda: _cache(cache_dir)),
        ("decode", _decode),
        ("sandbox", _sandbox),
    ]
    for name, check in checks:
        try:
            lines = list(check())
        except Exception as error:  # one broken part must not hide the state of the others
            failed.append(name)
            lines = [f"FAILED: {type(error).__name__}: {error}"]
        for heading, line in zip([name, *[""] * len(lines)], lines, strict=False):
            typer.echo(f"{heading:10}{printable(line)}")
    if failed:
        raise ResourceError(
            f"doctor: {', '.join(failed)} failed",
            hint="reinstall actcli, or report the lines above",
        )


def _versions() -> Iterator[str]:
    import platform
    from importlib.metadata import version

    yield f"actcli {version('actcli')}, Python {platform.python_version()}, {platform.platform()}"
    packages = ("torch", "torchvision", "open_clip_torch", "av", "numpy", "safetensors")
    yield ", ".join(f"{name} {version(name)}" for name in packages)


def _ffmpeg() -> Iterator[str]:
    import av

    libraries = {
        name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())
    }
    yield ", ".join(f"{name} {number}" for name, number in libraries.items())
    wanted = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video")
    missing = [name for name in wanted if name not in av.codecs_available]
    yield "decoders: " + ("all of " + ", ".join(wanted) if not missing else f"no {missing}")


def _devices() -> Iterator[str]:

    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield f"cpu: {cores} cores, {torch.backends.cpu.get_cpu_capability()}"
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield f"cuda:{index}: {properties.name}, {memory:.0f} GiB"
    if torch.backends.mps.is_available():
        yield "mps: available"


def _model() -> Iterator[str]:
    from actcli.models.backbone import find_backbone

    spec = find_backbone("demo")
    size = spec.weights_path.stat().st_size / 1e6
    yield f"demo: {size:.1f} MB, {spec.preprocessing.size_px} px, {spec.weights_path}"
    from actcli.tasks.models import hub_settings, list_models

    settings = hub_settings()
    here = sum(info.folder is not None for info in list_models(settings))
    token = "with a token" if settings.token else "without a token"
    state = "offline" if settings.offline else settings.endpoint
    yield f"hub: {state}, {token}; {here} models in {settings.cache_dir}"


def _cache(cache_dir: str | None) -> Iterator[str]:
    from actcli.cache import open_cache
    from actcli.cache_file import FILE_NAME

    with open_cache(cache_dir, enabled=True) as cache:
        path = cache.folder
        if path is None:
            yield "none: nothing can be kept here (see the warning above)"
            return
        size = (path / FILE_NAME).stat().st_size / 1e6
        yield f"{path / FILE_NAME}: {cache.count()} embeddings, {size:.1f} MB"


def _decode() -> Iterator[str]:
    """Draw a clip, encode it, and read it back the way every video is read."""
    from actcli.config import LimitsConfig, SamplingConfig
    from actcli.demo.clips import write_clip
    from actcli.types import Preprocessing, VideoRef
    from actcli.video.clips import read_clip

    with tempfile.TemporaryDirectory(prefix="actcli-doctor-") as folder:
        path = Path(folder) / "wave.mp4"
        write_clip(path, "wave", seed=1)
        start = time.perf_counter()
        clip = read_clip(
            VideoRef(str(path)), SamplingConfig(), Preprocessing(size_px=224), LimitsConfig()
        )
        took = time.perf_counter() - start
    shown = int(clip.frames.std() > 5)  # a decoder that returns one flat colour does not work
    if not shown:
        raise ResourceError("the built-in clip decoded to flat pictures")
    yield f"built-in clip: {clip.times_s.size} frames of {clip.end_s:.1f} s in {took * 1000:.0f} ms"


def _sandbox() -> Iterator[str]:
    """Whether decode processes can be locked in, seen by locking one in."""
    from actcli.config import LimitsConfig, SamplingConfig
    from actcli.types import Preprocessing, VideoRef
    from actcli.video import sandbox
    from actcli.video.loader import start_loader
    from actcli.video.worker import ClipReader

    if (reason := sandbox.missing()) is not None:
        yield f"off: {reason}"
        return
    limits = LimitsConfig(sandbox="require")
    read = ClipReader(SamplingConfig(), Preprocessing(size_px=64), limits)
    with start_loader(read, 1, limits, batch_size=1, clip_bytes=read.clip_bytes) as loader:
        list(loader.load([VideoRef(os.devnull)]))
    yield "on: decode processes can neither write nor use a network"
