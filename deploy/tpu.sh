#!/usr/bin/env bash
# A TPU slice of several hosts: the same command on all of them. The hosts find each other through the slice itself.
#
#   deploy/tpu.sh my-slice us-central2-b configs/wikitext2_jump.py gs-mounted/runs/wikitext2
#
# The run's directory and the cache have to be on a file system that all hosts mount. Called again after a preemption it
# goes on from the last checkpoint.
set -euo pipefail

slice=$1
zone=$2
config=$3
run=$4

gcloud compute tpus tpu-vm ssh "$slice" --zone="$zone" --worker=all --command="
  export ODEEMBED_CACHE=\$(dirname '$run')/cache
  exec odeembed train '$config' --size full --run '$run' --resume
"
