"""The standalone demo in one command: python3 deploy/demo.py [OPTIONS of `userproxy standalone`]."""

import os
import sys

from environment import ensure_environment, ensure_packages

if __name__ == "__main__":
    ensure_packages({"nft": "nftables"}, "capture by redirect")
    python = ensure_environment()
    os.execv(python, [str(python), "-m", "userproxy", "standalone", "--demo", *sys.argv[1:]])
