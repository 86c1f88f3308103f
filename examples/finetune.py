"""Train a small checkpoint on labelled clips, then classify others with it.

python examples/finetune.py TRAIN VAL RUN        (folders with a folder of clips for each label)
"""

import sys
from pathlib import Path

import actcli


def main(train: str, val: str, run: str) -> None:
    result = actcli.finetune(train, run, val=val, model="demo", epochs=30)
    print(f"zero-shot {result.baseline.top1:.2f}, trained {result.best.top1:.2f}")
    videos = sorted(Path(val).glob("*/*.mp4"))
    for found in actcli.classify(videos, model=run):
        if found.ok:
            print(f"{found.ref.path}: {found.label} ({found.score:.2f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
