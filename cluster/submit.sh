#!/bin/sh
# Run a search on the cluster's head, apart from this terminal: cluster/submit.sh [HOST:PORT]
# The run's folder is on the head; the same command goes on with it.
set -eu
export RAY_AUTH_MODE=token

ray job submit --address "http://${1:-127.0.0.1:8265}" --no-wait -- \
    bneck search --target 2.0 --data folder:"$HOME/photos" --out "$HOME/runs/photos" \
    --evaluations 200 --parallel 16 --time-limit 1800 --ray auto
