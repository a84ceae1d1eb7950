#!/usr/bin/env bash
# Gradescope runs this once, when it builds the autograder's machine (Ubuntu 22.04).
set -euo pipefail
apt-get update -q
apt-get install -q -y --no-install-recommends python3.11 python3.11-venv bubblewrap
cd /autograder/source
# Without a GPU there is no need for its libraries: 200 MB instead of 3 GB.
export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
# Makes the environment, and says how well this machine closes the sandbox.
python3.11 -m course_lib grade --probe
if ! python3.11 -m course_lib grade --probe \
    --isolation "$(cat isolation.txt 2>/dev/null || echo strict)" >/dev/null; then
    echo "WARNING: as things are here, every submission gets 0 points and a sentence."
    echo "Write a level that this machine has (landlock, say) into isolation.txt."
fi
