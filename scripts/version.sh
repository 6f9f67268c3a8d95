#!/bin/sh
# version.sh: prints the version of the commit that is checked out in the working directory: the newest tag of a version,
# with the number of later commits. Without a tag it is a development version.
set -eu
described=$(git describe --tags --match 'v[0-9]*' 2>/dev/null || echo "v0.0.0-dev.$(git rev-parse --short HEAD)")
echo "${described#v}"
