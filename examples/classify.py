"""Classify the videos of a folder and sort their names by label.

python examples/classify.py examples/clips run jump wave squat
"""

import sys
from collections import defaultdict
from pathlib import Path

import actcli


def main(folder: str, *labels: str) -> None:
    videos = sorted(Path(folder).glob("*.mp4"))
    by_label = defaultdict(list)
    for result in actcli.classify(videos, labels, model="demo"):
        if result.ok:
            by_label[result.label].append(f"{Path(result.ref.path).name} ({result.score:.2f})")
        else:
            print(f"{result.ref.path}: {result.error.message}", file=sys.stderr)
    for label, names in by_label.items():
        print(f"{label}: {', '.join(names)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
