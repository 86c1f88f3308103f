"""Other runtimes for the image tower on a CPU: onnxruntime, also in int8, OpenVINO, torch.compile.

    pip install onnx onnxscript onnxruntime openvino          # or some of them
    PYTHONPATH=. python benchmarks/runtimes.py [--model local-dir:FOLDER] [--threads 2]

Milliseconds an image, in turn, medians of --rounds; the cosine with torch's fp32, least and median.
Without --model a ViT-B-32 of random weights is timed. Then the demo model, whose weights are
trained, embeds drawn clips in int8 and in bf16: cosines, and how many get another label.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from end_to_end import write_model

from actcli.models.backbone import find_backbone
from actcli.models.last_block import pooled_token_only
from actcli.models.open_clip import OpenClipBackbone

Embed = Callable[[torch.Tensor], Any]
"""uint8 [M, 3, X, X] -> float32 [M, D]"""
LABELS = ("run", "jump", "jumping jack", "wave", "squat", "kick", "punch", "clap", "bow", "crawl",
          "cartwheel", "throw", "dance", "spin")  # fmt: skip


class Tower(torch.nn.Module):
    """The image tower as we run it: its last block for the pooled token alone."""

    def __init__(self, tower: torch.nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        with pooled_token_only(self.tower):
            found: torch.Tensor = self.tower(pixels)
            return found


def export(backbone: OpenClipBackbone, path: Path) -> None:
    size = backbone.input_size
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad():
        torch.onnx.export(
            Tower(backbone.image_tower).eval(), (torch.zeros(2, 3, size, size),), str(path),
            dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}, opset_version=17,
        )  # fmt: skip
    torch.backends.mha.set_fastpath_enabled(True)


def by_torch(name: str, dtype: torch.dtype) -> Embed:
    backbone = OpenClipBackbone(find_backbone(name), dtype=dtype)
    backbone.ensure_built()
    return lambda frames: backbone.encode_frames(frames).float().numpy()


def compiled(name: str, dtype: torch.dtype) -> Embed:
    """Of the whole last block: torch.compile does not take one that is swapped in and out."""
    backbone = OpenClipBackbone(find_backbone(name), dtype=dtype)
    tower = torch.compile(backbone.image_tower)
    return lambda frames: tower(backbone.normalize(frames)).float().numpy()


def by_onnxruntime(backbone: OpenClipBackbone, path: Path, threads: int) -> Embed:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda frames: session.run(None, {"x": backbone.normalize(frames).numpy()})[0]


def by_openvino(backbone: OpenClipBackbone, path: Path, threads: int, precision: str) -> Embed:
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads,
             "PERFORMANCE_HINT": "LATENCY"}  # fmt: skip
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(path)), "CPU", hints)
    return lambda frames: compiled(backbone.normalize(frames).numpy())[0]


def in_int8(path: Path) -> Path:
    """Weights of each product by channel, what goes in by tensor as it comes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = path.with_suffix(".int8.onnx")
    quantize_dynamic(path, small, weight_type=QuantType.QInt8, per_channel=True,
                     op_types_to_quantize=["MatMul", "Gemm"])  # fmt: skip
    return small


def ways_of(name: str, folder: Path, threads: int) -> dict[str, Embed]:
    backbone = OpenClipBackbone(find_backbone(name))
    backbone.ensure_built()
    path = folder / "tower.onnx"
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    ways = {f"torch {key}": by_torch(name, dtype) for key, dtype in dtypes.items()}
    makers: dict[str, Callable[[], Embed]] = {
        "onnxruntime fp32": lambda: by_onnxruntime(backbone, path, threads),
        "onnxruntime int8": lambda: by_onnxruntime(backbone, in_int8(path), threads),
        "OpenVINO fp32": lambda: by_openvino(backbone, path, threads, "f32"),
        "OpenVINO bf16": lambda: by_openvino(backbone, path, threads, "bf16"),
    }
    export(backbone, path)
    if shutil.which("c++"):
        ways |= {f"compiled {key}": compiled(name, dtype) for key, dtype in dtypes.items()}
    for way, make in makers.items():
        try:
            ways[way] = make()
        except ImportError as error:
            print(f"{way}: left out ({error})")
    return ways


def cosines(found: Any, reference: Any) -> Any:
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(reference, axis=1)
    return (found * reference).sum(1) / lengths


def time_ways(ways: dict[str, Embed], frames: torch.Tensor, rounds: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    values = {name: embed(frames) for name, embed in ways.items()}
    for _ in range(rounds):
        for name, embed in ways.items():
            started = time.perf_counter()
            embed(frames)
            times[name].append((time.perf_counter() - started) / len(frames))
    reference = statistics.median(times["torch fp32"])
    for name, runs in times.items():
        middle, near = statistics.median(runs), cosines(values[name], values["torch fp32"])
        print(f"{name:18} {1000 * middle:6.1f} ms an image, {reference / middle:.2f}x of fp32, "
              f"cosine {near.min():.5f}, median {np.median(near):.5f}")  # fmt: skip
    return times


def agree(ways: dict[str, Embed], clips: int, folder: Path) -> None:
    """Of the demo model: what other numbers do to trained weights."""
    from actcli.config import LimitsConfig, SamplingConfig
    from actcli.demo.clips import write_clip
    from actcli.types import VideoRef
    from actcli.video.clips import read_clip

    backbone = OpenClipBackbone(find_backbone("demo"))
    words = backbone.encode_text([f"a video of a person doing {label}" for label in LABELS])
    text = torch.nn.functional.normalize(words, dim=1).detach().numpy()
    read = []
    for number in range(clips):
        path = folder / f"{number}.mp4"
        write_clip(path, LABELS[number % len(LABELS)], seed=9000 + number)
        ref, how = VideoRef(str(path)), backbone.spec.preprocessing
        read.append(read_clip(ref, SamplingConfig(), how, LimitsConfig()).frames[0])
    frames = torch.from_numpy(np.concatenate(read))
    found = {name: np.concatenate([embed(part) for part in frames.split(64)])
             for name, embed in ways.items()}  # fmt: skip
    chosen = {}
    for name, values in found.items():
        unit = values / np.linalg.norm(values, axis=1, keepdims=True)
        chosen[name] = (unit.reshape(clips, -1, unit.shape[1]).mean(1) @ text.T).argmax(1)
    for name, values in found.items():
        near = cosines(values, found["torch fp32"])
        others = int((chosen[name] != chosen["torch fp32"]).sum())
        print(f"demo, {name:18} cosine {near.min():.5f}, median {np.median(near):.5f}; "
              f"{others} of {clips} clips get another label")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=140, help="drawn ones for the demo model")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as top, torch.inference_mode():
        name = args.model
        if name is None:
            write_model("ViT-B-32", Path(top))
            name = f"local-dir:{top}"
        size = OpenClipBackbone(find_backbone(name)).input_size
        frames = torch.randint(0, 256, (args.images, 3, size, size), dtype=torch.uint8)
        print(f"{args.threads} threads, {args.images} images a pass, medians of {args.rounds}")
        times = time_ways(ways_of(name, Path(top), args.threads), frames, args.rounds)
        place = Path(top, "demo")
        place.mkdir()
        agree(ways_of("demo", place, args.threads), args.clips, place)
    if args.output:
        args.output.write_text(json.dumps(times, indent=1))


if __name__ == "__main__":
    main()
