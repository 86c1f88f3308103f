"""What a GPU makes of a model: passes alone, the whole pipeline for more and more decode workers.

    PYTHONPATH=. python benchmarks/gpu.py [--models ViT-B-16 ViT-L-14] [--peak TFLOPS]

Random weights in bf16, batches as the tool chooses them. Passes alone: images a second, and the
share of the device's peak that the tower's multiplications are (MFU; the peak of an H100 is taken
where --peak gives no other). Pipeline: clips a second from files to embeddings, beside what the
same workers deliver without a model; alternated, medians of --rounds. Peak memory as torch counts
it. `--device cpu` tries the script, and says nothing of a GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from end_to_end import FRAMES, draw_clips, write_model

PEAK_TFLOPS = 989.0
"""Of an H100 SXM in bf16 without sparsity, as its maker says."""


def flops_per_image(folder: Path) -> float:
    stated = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["vision_cfg"]
    width, patch = stated["width"], stated["patch_size"]
    tokens = (stated["image_size"] // patch) ** 2 + 1
    blocks = stated["layers"] * (24 * tokens * width**2 + 4 * tokens**2 * width)
    return float(blocks + 2 * (tokens - 1) * 3 * patch**2 * width)


def options(model: Path, device: str, **more: Any) -> Any:
    from actcli.config import ClassifyConfig, with_options

    given = {"model": f"local-dir:{model}", "use_cache": False, "device": device} | more
    return with_options(ClassifyConfig(), given)


def passes_alone(model: Path, device: str, seconds: float) -> dict[str, float]:
    """The engine's own passes over frames that are there already."""
    import torch

    from actcli.models.device import frames_per_pass
    from actcli.models.weight_file import read_shapes
    from actcli.passes import Passes
    from actcli.tasks.pipeline import Pipeline

    built = Pipeline(options(model, device, precision="bf16")).plan.build()
    backbone: Any = built.method.backbone
    side = backbone.input_size
    shapes = read_shapes(backbone.spec.weights_path)
    count = max(1, frames_per_pass(backbone.device, "bf16", shapes) // FRAMES)
    passes = Passes(built.method.embed, backbone.device, batch_size=count, clip_frames=FRAMES)
    frames = torch.randint(0, 256, (count, FRAMES, 3, side, side), dtype=torch.uint8)
    clips = list(frames.numpy())
    for _ in range(3):
        passes.start(passes.pack(clips))()
    done, under_way, started = 0, [], time.perf_counter()
    while time.perf_counter() - started < seconds:
        under_way.append(passes.start(passes.pack(clips)))
        while len(under_way) > passes.ahead:
            under_way.pop(0)()
            done += count * FRAMES
    for values in under_way:
        values()
        done += count * FRAMES
    rate = done / (time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated() if backbone.device.type == "cuda" else 0
    return {"images_s": rate, "clips_a_pass": count, "peak_mib": peak / 2**20,
            "tflops": rate * flops_per_image(model) / 1e12}  # fmt: skip


def pipeline(model: Path, device: str, workers: int, paths: list[str], decode: str) -> float:
    """Clips a second, once workers and model are there."""
    from actcli.tasks.pipeline import Pipeline
    from actcli.types import FrameEmbeddings, VideoRef

    config = options(model, device, precision="bf16", workers=workers, decode=decode)
    with Pipeline(config).start() as started:
        started.method.backbone.ensure_built()  # type: ignore[attr-defined]
        found = started.engine.embed(VideoRef(path) for path in paths)
        return rate_of(isinstance(one, FrameEmbeddings) for one in found)


def workers_alone(model: Path, workers: int, paths: list[str], decode: str) -> float:
    from actcli.tasks.pipeline import Pipeline
    from actcli.types import Clip, VideoRef
    from actcli.video.loader import IDLE

    config = options(model, "cpu", workers=workers, decode=decode)
    with Pipeline(config).start_loader() as loader:
        items = (item for item in loader.load(map(VideoRef, paths)) if item is not IDLE)
        return rate_of(isinstance(item, Clip) for item in items)


def rate_of(found: Iterable[bool]) -> float:
    """Clips a second, once a quarter of them is there."""
    times = []
    for is_right in found:
        assert is_right, "a clip failed"
        times.append(time.perf_counter())
    first = len(times) // 4
    return (len(times) - 1 - first) / (times[-1] - times[first])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["ViT-B-16", "ViT-L-14"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--peak", type=float, default=PEAK_TFLOPS, help="of the device, in TFLOPS")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--clips-each", type=int, default=24, help="clips for each worker")
    parser.add_argument("--decode", choices=("exact", "fast", "nvdec"), default="exact")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as top:
        clips = Path(top, "clips")
        clips.mkdir()
        most = max(args.workers, default=1) * args.clips_each
        paths = [str(path) for path in draw_clips(clips, most, 48)] if args.workers else []
        for name in args.models:
            model = Path(top, name)
            model.mkdir()
            write_model(name, model)
            alone = passes_alone(model, args.device, args.seconds)
            rows.append({"model": name, **alone, "mfu": alone["tflops"] / args.peak})
            print(f"{name}: {alone['images_s']:,.0f} images/s in passes of "
                  f"{alone['clips_a_pass']:.0f} clips, {alone['tflops']:.1f} TFLOPS, MFU "
                  f"{rows[-1]['mfu']:.2f}, peak {alone['peak_mib']:,.0f} MiB",
                  flush=True)  # fmt: skip
            for workers in args.workers:
                some = paths[: workers * args.clips_each]
                found: dict[str, list[float]] = {"pipeline": [], "workers": []}
                for _ in range(args.rounds):
                    found["pipeline"].append(
                        pipeline(model, args.device, workers, some, args.decode)
                    )
                    found["workers"].append(workers_alone(model, workers, some, args.decode))
                both = {key: statistics.median(runs) for key, runs in found.items()}
                rows.append({"model": name, "workers": workers, "runs": found, **both})
                print(f"  {workers:2d} workers: {both['pipeline']:6.1f} clips/s; without a model "
                      f"{both['workers']:6.1f}; {both['pipeline'] / both['workers']:.2f} of it",
                      flush=True)  # fmt: skip
    if args.output:
        args.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
