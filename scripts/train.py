"""Train a model: python scripts/train.py --config quickstart.yaml (the same as `beamtrain train`)."""

import sys

from beamtrain.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
