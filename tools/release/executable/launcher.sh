#!/bin/sh
# Starts the program of this file's name: all three are in etcd2-runtime, which lies beside this file.
self=$(command -p readlink -f "$0")
dir=${self%/*}
if [ ! -x "$dir/etcd2-runtime" ]; then
  echo "${0##*/}: $dir/etcd2-runtime is missing; copy all files named etcd* of the archive" >&2
  exit 1
fi
export ETCD2_PROGRAM="${self##*/}"
# The runtime needs a library that small systems lack; where it is missing, ours is used.
for lib in /lib/x86_64-linux-gnu /usr/lib64 /lib64 /usr/lib /lib; do
  [ -e "$lib/libatomic.so.1" ] && exec "$dir/etcd2-runtime" "$@"
done
export ETCD2_PRELOADED="${LD_PRELOAD-}"
export LD_PRELOAD="$dir/etcd2-libatomic.so.1${LD_PRELOAD:+:$LD_PRELOAD}"
exec "$dir/etcd2-runtime" "$@"
