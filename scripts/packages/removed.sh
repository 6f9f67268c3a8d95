#!/bin/sh
# After the programs of a package are removed. dpkg says "purge" if the configuration is to be removed too.
set -e
case ${1-} in
purge) rm -rf /etc/countersign /var/lib/countersign ;;
esac
