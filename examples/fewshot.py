"""Name clips by example, keep the classes in a file, and use the file.

python examples/fewshot.py SUPPORT QUERY        (folders with a folder of clips for each label)
"""

import sys
import tempfile
from pathlib import Path

import actcli


def main(support: str, query: str) -> None:
    videos = sorted(Path(query).glob("*/*.mp4"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "moves.safetensors"
        results = actcli.fewshot(videos, support, model="demo", save=file)
        again = actcli.classify(videos, model=str(file))
    right = 0
    for first, second in zip(results, again, strict=True):
        if not first.ok or not second.ok:
            print(f"{first.ref.path}: {first.error.message}", file=sys.stderr)
            continue
        assert abs(first.score - second.score) < 1e-6
        right += first.label == Path(first.ref.path).parent.name
    print(f"{right} of {len(videos)} right")


if __name__ == "__main__":
    main(*sys.argv[1:])
