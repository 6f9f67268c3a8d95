#!/bin/sh
# Before the programs of a package are removed, and not when another version replaces them (dpkg says "upgrade", rpm "1").
# Without them no container would start on a node that requires countersign.
set -e
case ${1-} in
remove | purge | 0) /usr/bin/countersign uninstall --keep-data ;;
esac
