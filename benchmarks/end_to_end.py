"""From files to embeddings: ours beside the loops that people write, in one run.

    pip install opencv-python-headless transformers torchcodec decord     # torchcodec wants FFmpeg
    PYTHONPATH=. python benchmarks/end_to_end.py --model ViT-B-32 --rounds 5

Drawn H.264 clips of 10 s at 640x360, one model of random weights, the same eight frames of each
clip (asserted first, by their embeddings). Every measurement is a process of its own, in turn; time
is taken from when libraries are imported and the model is loaded. Medians of wall and CPU time, all
processes together; every run is in the JSON. The floor is our decoder alone on all cores, and the
multiplications of the tower at the rate that this machine reaches in the same run.

    opencv      cv2 reads all frames, PIL and open_clip's transform, one clip a forward pass, fp32
    hf          PyAV reads all frames, transformers' CLIPProcessor and CLIPModel, one clip a pass
    torchcodec  VideoDecoder.get_frames_at, torch's antialiased resize, one clip a pass
    decord      VideoReader.get_batch, PIL and open_clip's transform, one clip a pass
    ours        the engine, workers and all, cache off
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

FRAMES = 8
BASELINES = ("opencv", "hf", "torchcodec", "decord")


def draw_clips(folder: Path, count: int, gop: int) -> list[Path]:
    """A textured ground that pans, with things that move over it; x264's default preset.

    A quarter of them is drawn, each its own; the others are copies.
    """
    import av

    paths = [folder / f"{number:03d}.mp4" for number in range(count)]
    drawn = max(1, count // 4)
    for number, path in enumerate(paths):
        if number >= drawn:
            shutil.copy(paths[number % drawn], path)
            continue
        rng = np.random.default_rng(number)
        ground = _smooth(rng.integers(0, 256, (24, 48, 3)).astype(np.float32), 45)  # [1080, 2160]
        grain = rng.integers(-6, 7, (1080, 2160, 1))
        picture = np.clip(ground + grain, 0, 255).astype(np.uint8)
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            stream.options = {"g": str(gop), "keyint_min": str(gop), "sc_threshold": "0"}
            for i in range(300):
                frame = picture[i : i + 360, 2 * i : 2 * i + 640].copy()
                for thing in range(4):
                    y, x = 60 + 60 * thing, int(300 + 280 * np.sin(i / (20 + 7 * thing) + number))
                    frame[y : y + 50, x : x + 50] = (60 * thing, 255 - 50 * thing, 128)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode())
    return paths


def _smooth(small: Any, factor: int) -> Any:
    """[h, w, 3] enlarged, bilinear."""
    import torch

    picture = torch.from_numpy(small).permute(2, 0, 1)[None]
    large = torch.nn.functional.interpolate(picture, scale_factor=factor, mode="bilinear")
    return large[0].permute(1, 2, 0).numpy()


def indices(count: int) -> list[int]:
    """The frame in the middle of each of eight equal parts."""
    return [int((i + 0.5) / FRAMES * count + 1e-9) for i in range(FRAMES)]


def write_model(name: str, folder: Path) -> None:
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model(name, pretrained=None)
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def load_open_clip(folder: Path) -> tuple[Any, Any]:
    import open_clip

    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    return model.eval(), transform


Embed = Callable[[str], Any]
"""A path to [T, D]"""


def opencv(folder: Path) -> Embed:
    import cv2
    import torch
    from PIL import Image

    model, transform = load_open_clip(folder)

    def embed(path: str) -> Any:
        capture, frames = cv2.VideoCapture(path), []
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        chosen = [transform(Image.fromarray(frames[i])) for i in indices(len(frames))]
        with torch.no_grad():
            return model.encode_image(torch.stack(chosen))

    return embed


def decord(folder: Path) -> Embed:
    import torch
    from decord import VideoReader
    from PIL import Image

    model, transform = load_open_clip(folder)

    def embed(path: str) -> Any:
        reader = VideoReader(path, num_threads=1)
        batch = reader.get_batch(indices(len(reader))).asnumpy()
        with torch.no_grad():
            return model.encode_image(torch.stack([transform(Image.fromarray(p)) for p in batch]))

    return embed


def torchcodec(folder: Path) -> Embed:
    import torch
    from torch.nn.functional import interpolate
    from torchcodec.decoders import VideoDecoder

    model, _ = load_open_clip(folder)
    size = model.visual.image_size
    side = size if isinstance(size, int) else size[0]
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]

    def embed(path: str) -> Any:
        decoder = VideoDecoder(path, num_ffmpeg_threads=1)
        frames = decoder.get_frames_at(indices(decoder.metadata.num_frames)).data  # [T, 3, H, W]
        height, width = frames.shape[-2:]
        scaled = (side * height // min(height, width), side * width // min(height, width))
        small = interpolate(frames, scaled, mode="bicubic", antialias=True)
        top, left = ((n - side) // 2 for n in scaled)
        crop = small[..., top : top + side, left : left + side].float() / 255
        with torch.no_grad():
            return model.encode_image((crop - mean) / deviation)

    return embed


def hf(folder: Path) -> Embed:
    import av
    import torch
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    ours, _ = load_open_clip(folder)
    tower, vision = ours.visual, json.loads((folder / "open_clip_config.json").read_text())
    stated = vision["model_cfg"]
    width, layers = stated["vision_cfg"]["width"], stated["vision_cfg"]["layers"]
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, patch_size=stated["vision_cfg"]["patch_size"],
        projection_dim=stated["embed_dim"], hidden_act="gelu")).eval()  # fmt: skip
    model.load_state_dict(_as_hf(tower.state_dict(), width), strict=False)
    processor = CLIPImageProcessor()

    def embed(path: str) -> Any:
        with av.open(path) as container:
            frames = [frame.to_image() for frame in container.decode(video=0)]
        inputs = processor([frames[i] for i in indices(len(frames))], return_tensors="pt")
        with torch.no_grad():
            return model(**inputs).image_embeds

    return embed


def _as_hf(state: dict[str, Any], width: int) -> dict[str, Any]:
    """open_clip's image tower under transformers' names."""
    top = "vision_model."
    found = {
        top + "embeddings.class_embedding": state["class_embedding"],
        top + "embeddings.patch_embedding.weight": state["conv1.weight"],
        top + "embeddings.position_embedding.weight": state["positional_embedding"],
        "visual_projection.weight": state["proj"].T.contiguous(),
    }
    for theirs, name in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post")):
        for kind in ("weight", "bias"):
            found[f"{top}{theirs}.{kind}"] = state[f"{name}.{kind}"]
    for name, value in state.items():
        if not name.startswith("transformer.resblocks."):
            continue
        number, _, part = name.removeprefix("transformer.resblocks.").partition(".")
        layer = f"{top}encoder.layers.{number}."
        if part.startswith("attn.in_proj"):
            kind = part.rpartition("_")[2]
            for j, letter in enumerate("qkv"):
                piece = value[j * width : (j + 1) * width].clone()
                found[f"{layer}self_attn.{letter}_proj.{kind}"] = piece
        else:
            for one, other in (("attn.out_proj", "self_attn.out_proj"), ("ln_1", "layer_norm1"),
                               ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"),
                               ("mlp.c_proj", "mlp.fc2")):  # fmt: skip
                part = part.replace(one, other)
            found[layer + part] = value
    return found


class Meter:
    """Wall and CPU seconds, those of ended and of running children too."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), self._cpu()

    def read(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self.wall, "cpu": self._cpu() - self.cpu}

    @staticmethod
    def _cpu() -> float:
        total = 0.0
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            used = resource.getrusage(who)
            total += used.ru_utime + used.ru_stime
        return total + sum(_cpu_of(pid) for pid in _descendants(os.getpid()))


def _descendants(pid: int) -> Iterable[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    for child in map(int, text.split()):
        yield child
        yield from _descendants(child)


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def by_loop(name: str, folder: Path, paths: list[str]) -> dict[str, Any]:
    embed = globals()[name](folder)
    meter, values = Meter(), []
    for path in paths:
        values.append(embed(path).float().numpy())
    return meter.read() | {"check": np.stack(values)[:2].mean((0, 1))[:16].tolist()}


def ours(folder: Path, paths: list[str], **options: Any) -> dict[str, Any]:
    """The engine with its workers, once they and the model are there."""
    from actcli.config import ClassifyConfig, with_options
    from actcli.tasks.pipeline import Pipeline
    from actcli.types import FrameEmbeddings, VideoRef

    given = {"model": f"local-dir:{folder}", "use_cache": False, "device": "cpu"} | options
    with Pipeline(with_options(ClassifyConfig(), given)).start() as started:
        started.method.backbone.ensure_built()
        warm = next(iter(started.engine.embed([VideoRef(paths[0])])))  # the loader is used once
        assert isinstance(warm, FrameEmbeddings)
    with Pipeline(with_options(ClassifyConfig(), given)).start() as started:
        started.method.backbone.ensure_built()
        meter = Meter()
        found = list(started.engine.embed(VideoRef(path) for path in paths))
        result = meter.read()
    values = np.stack([one.values[0].float().numpy() for one in found])  # type: ignore[union-attr]
    return result | {"check": values[:2].mean((0, 1))[:16].tolist()}


def decoder_alone(folder: Path, paths: list[str]) -> dict[str, Any]:
    """All clips through our workers, no model."""
    from actcli.config import ClassifyConfig, with_options
    from actcli.tasks.pipeline import Pipeline
    from actcli.types import VideoRef
    from actcli.video.loader import IDLE

    config = with_options(ClassifyConfig(), {"model": f"local-dir:{folder}", "device": "cpu"})
    with Pipeline(config).start_loader() as loader:
        meter = Meter()
        count = sum(item is not IDLE for item in loader.load(VideoRef(path) for path in paths))
        assert count == len(paths)
        return meter.read()


def products(folder: Path, paths: list[str], dtype: str) -> dict[str, Any]:
    """The multiplications of the tower for all frames, at this machine's rate for large ones."""
    import torch

    stated = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["vision_cfg"]
    width, patch = stated["width"], stated["patch_size"]
    tokens = (stated["image_size"] // patch) ** 2 + 1
    per_frame = stated["layers"] * (24 * tokens * width**2 + 4 * tokens**2 * width)
    per_frame += 2 * (tokens - 1) * 3 * patch**2 * width
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    a, b = torch.rand(64 * tokens, width).to(kind), torch.rand(width, 4 * width).to(kind)
    a @ b
    started = time.perf_counter()
    for _ in range(10):
        a @ b
    rate = 10 * 2 * a.shape[0] * width * 4 * width / (time.perf_counter() - started)
    total = per_frame * FRAMES * len(paths)
    return {"wall": total / rate, "cpu": total / rate, "gflops": rate / 1e9}


RUNS: dict[str, Callable[[Path, list[str]], dict[str, Any]]] = {
    **{name: (lambda f, p, n=name: by_loop(n, f, p)) for name in BASELINES},
    "ours fp32": lambda f, p: ours(f, p, precision="fp32"),
    "ours bf16": lambda f, p: ours(f, p, precision="bf16"),
    "decoder alone": decoder_alone,
    "products fp32": lambda f, p: products(f, p, "fp32"),
    "products bf16": lambda f, p: products(f, p, "bf16"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--gop", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--videos", type=Path, help="a folder of clips instead of drawn ones")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--child", nargs=3, metavar=("NAME", "MODEL", "CLIPS"))
    args = parser.parse_args()
    if args.child:
        name, model, clips = args.child
        paths = sorted(str(path) for path in Path(clips).rglob("*") if path.is_file())
        print(json.dumps(RUNS[name](Path(model), paths)))
        return
    with tempfile.TemporaryDirectory() as top:
        model, clips = Path(top, "model"), args.videos or Path(top, "clips")
        model.mkdir()
        write_model(args.model, model)
        if args.videos is None:
            clips.mkdir()
            draw_clips(clips, args.clips, args.gop)
        count = sum(path.is_file() for path in clips.rglob("*"))
        runs = _measure(args.only, args.rounds, model, clips)
    _check(runs)
    _report(runs, count, args)


def _measure(
    names: list[str], rounds: int, model: Path, clips: Path
) -> dict[str, list[dict[str, Any]]]:
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in list(runs):
            command = [sys.executable, __file__, "--child", name, str(model), str(clips)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["?"]
                print(f"{name}: left out ({said[-1]})", file=sys.stderr)
                del runs[name]
                continue
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    return runs


def _check(runs: dict[str, list[dict[str, Any]]]) -> None:
    """All embed the same frames with the same weights."""
    checks = {name: np.array(found[0]["check"]) for name, found in runs.items()
              if "check" in found[0]}  # fmt: skip
    first = next(iter(checks.values()), np.zeros(1))
    for name, check in checks.items():
        cosine = float(check @ first / np.linalg.norm(check) / np.linalg.norm(first))
        assert cosine > 0.995, f"{name}: other frames or weights (cosine {cosine:.4f})"


def _report(runs: dict[str, list[dict[str, Any]]], count: int, args: argparse.Namespace) -> None:
    print(f"{args.model}, {count} clips, GOP {args.gop}, {len(os.sched_getaffinity(0))} cores, "
          f"medians of {args.rounds}")  # fmt: skip
    medians = {name: {key: statistics.median(run[key] for run in found) for key in ("wall", "cpu")}
               for name, found in runs.items()}  # fmt: skip
    reference = medians.get("ours fp32", {"wall": float("nan"), "cpu": float("nan")})
    for name, found in medians.items():
        wall, cpu = found["wall"], found["cpu"]
        print(f"{name:15} {wall:7.2f} s wall {cpu:7.2f} s CPU {count / wall:7.2f} clips/s"
              f"   ours fp32 is {wall / reference['wall']:5.2f}x in wall, "
              f"{cpu / reference['cpu']:5.2f}x in CPU")  # fmt: skip
    for kind in ("fp32", "bf16"):
        parts = [medians.get(name) for name in ("decoder alone", f"products {kind}",
                                                f"ours {kind}")]  # fmt: skip
        if all(parts):
            decode, multiply, own = parts
            cores = len(os.sched_getaffinity(0))
            floor = (decode["cpu"] + multiply["wall"] * cores) / cores  # type: ignore[index]
            print(f"floor {kind}: {floor:.2f} s; ours {own['wall'] / floor:.2f}x of it")  # type: ignore[index]
    if args.output:
        args.output.write_text(json.dumps({"args": vars(args), "runs": runs}, default=str))


if __name__ == "__main__":
    main()
