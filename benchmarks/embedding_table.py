"""New labels over old embeddings: rows per second, and the most memory, of `classify --embeddings`.

    PYTHONPATH=. python benchmarks/embedding_table.py --rows 1000000 [-o table.json]

A table of random unit vectors is written as `embed --pool --dtype float16` writes one; then the
command is run on it with 400 labels, once for each format, and on one row for the start alone. The
model is tiny and random, its embeddings as long as those of CLIP ViT-B.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from start_up import ACTCLI, CLIP

DIM = 512
TOWER = {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1}
WORDS = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 1}


def make_model(folder: Path) -> str:
    """A random model in open_clip's layout; returns what `--model` takes."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = {"embed_dim": DIM, "vision_cfg": TOWER, "text_cfg": WORDS}
    torch.manual_seed(0)
    state = open_clip.CLIP(**json.loads(json.dumps(config))).state_dict()
    folder.mkdir()
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "open_clip_model.safetensors")
    mean = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": mean})
    (folder / "open_clip_config.json").write_text(text)
    return f"local-dir:{folder}"


def make_table(path: Path, like: Path, count: int) -> float:
    """A table of `count` random rows with the conditions of another; returns the seconds."""
    import numpy as np

    from actcli.tables.reading import open_table
    from actcli.tables.rows import Row
    from actcli.tables.writing import FileWriter
    from actcli.types import VideoRef

    info, random = open_table(str(like)).info, np.random.default_rng(0)
    writer = FileWriter(path, replace(info, shape=(1, 1, DIM)), lambda: (1, 1, DIM))
    times, begun, spent = tuple(float(i) for i in range(8)), time.perf_counter(), 0.0
    for first in range(0, count, 4096):
        making = time.perf_counter()
        values = random.standard_normal((min(4096, count - first), DIM), np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        values = values.astype(np.float16)[:, None, None]
        spent += time.perf_counter() - making
        for number, value in enumerate(values, first):
            ref = VideoRef(f"archive/{number // 1000:04d}/{number:07d}.mp4")
            writer.write(Row(ref, value, times, 0.0, 8.0, content=f"{number:064x}"))
    writer.finish()
    return time.perf_counter() - begun - spent


def cost(command: list[str]) -> dict[str, float]:
    """Wall and CPU seconds of a command that must succeed, and the most memory it had in MB."""
    begun = time.perf_counter()
    with subprocess.Popen(command) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"exit {child.returncode}: {' '.join(command)}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall": time.perf_counter() - begun, "cpu": cpu, "peak_mb": usage.ru_maxrss / 1024}


def apart(make: Callable[..., Any], *args: Any) -> Any:
    """The result of a process of its own: what it needs would count as memory of those after it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(make, *args).result()


def measure(top: Path, count: int, formats: list[str]) -> dict[str, Any]:
    os.environ["ACTCLI_CACHE_DIR"] = str(top / "cache")
    model = apart(make_model, top / "model")
    like, table = top / "one.parquet", top / "table.parquet"
    pooled = ["--pool", "--dtype", "float16", "-q"]
    subprocess.run([*ACTCLI, "embed", CLIP, "-o", like, "--model", model, *pooled], check=True)
    wrote = apart(make_table, table, like, count)
    found: dict[str, Any] = {"rows": count, "bytes": table.stat().st_size, "write_s": wrote}
    print(f"wrote {count} rows, {table.stat().st_size / 1e6:.0f} MB, {count / wrote:.0f} rows/s")
    classify = [*ACTCLI, "classify", "--embeddings", str(table), "-L", "kinetics400", "-q"]
    classify += ["--model", model, "-o"]
    cost([*classify, str(top / "warm.jsonl"), "--limit", "1"])  # the prompts into the cache
    for name in formats:
        out = str(top / f"preds.{name}")
        one = cost([*classify, out, "--limit", "1"])
        whole = cost([*classify, out])
        each = count / (whole["wall"] - one["wall"])
        found[name] = {"one": one, "all": whole, "rows_per_s": each}
        print(
            f"{name:5} {count} x 400: {whole['wall']:6.1f} s wall {whole['cpu']:6.1f} s CPU, "
            f"{each:6.0f} rows/s, peak {whole['peak_mb']:.0f} MB (one row: {one['wall']:.1f} s, "
            f"{one['peak_mb']:.0f} MB)",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=["jsonl", "csv"])
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        found = measure(Path(top), args.rows, args.formats)
    if args.output:
        args.output.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
