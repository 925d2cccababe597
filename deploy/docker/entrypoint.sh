#!/bin/sh
# Takes bare flags, as images whose entrypoint was the server did, as well as a whole command line.
set -eu
case "${1-}" in
  "" | -*) set -- etcd "$@" ;;
  /etcd | /usr/local/bin/etcd)
    shift
    set -- etcd "$@"
    ;;
esac
exec "$@"
