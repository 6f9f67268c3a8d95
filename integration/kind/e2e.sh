#!/usr/bin/env bash
# e2e.sh: runs scripts/kind.sh in a Docker of its own, with a node image of pinned programs: make e2e-kind. It takes some
# ten minutes, needs root, and Debian's archive the first time. Program integration/kind builds the programs and calls it.
#
#   PROGRAMS    directories with the programs of a node and with kind, helm and cosign
#   KIND_FILES  images/base of kind's module
#   CACHE       a directory for Debian's files
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd -P) # runc accepts no path with a symbolic link.

# Debian's Docker is only unpacked: its packages would install a containerd.
docker=$CACHE/docker
if [ ! -x "$docker/usr/sbin/dockerd" ]; then
	rm -rf "$docker" "$docker.new" && mkdir -p "$docker.new"
	(cd "$docker.new" && chmod 0755 . && apt-get -qq -o APT::Sandbox::User=root download docker.io containerd && for package in *.deb; do dpkg-deb -x "$package" .; done && rm ./*.deb)
	mv "$docker.new" "$docker"
fi
export BASE=$CACHE/base
if [ ! -d "$BASE" ]; then
	packages=systemd,systemd-sysv,iproute2,iptables,kmod,mount,procps,ca-certificates,conntrack,ethtool,socat,util-linux,jq,curl
	rm -rf "$BASE.new"
	debootstrap --variant=minbase --include=$packages bookworm "$BASE.new" >/dev/null
	rm -rf "$BASE.new"/var/cache/apt/archives "$BASE.new"/var/lib/apt/lists "$BASE.new"/usr/share/{doc,man,locale}
	mv "$BASE.new" "$BASE"
fi

work=$(mktemp -d "$CACHE/run.XXXXXX")
# The bridge of another Docker on this machine, which stays as it is.
other=$(ip -o link show docker0 2>/dev/null || true)
program() {
	local directory
	for directory in $PROGRAMS; do
		if [ -x "$directory/$1" ]; then echo "$directory/$1" && return; fi
	done
	echo "there is no program $1" >&2 && return 1
}
mkdir "$work/bin" "$work/home"
for name in kind kubectl helm cosign; do ln -s "$(program "$name")" "$work/bin/$name"; done
ln -s "$docker/usr/bin/docker" "$work/bin/docker"
sed "s|REAL_RUNC|$(program runc)|" "$here/runc-wrapper.sh" >"$work/runc"
chmod 0755 "$work/runc"

forwarding=$(iptables --list-rules FORWARD | head -n 1)
# Docker leaves its bridge and its rules behind, and denies forwarding to everybody else.
forget() {
	iptables-save | grep -vi docker | iptables-restore
	# shellcheck disable=SC2086 # Several arguments.
	iptables $forwarding
	ip link delete docker0
}
remove() {
	status=$?
	# The containers end with their shims, so they are removed before their daemon is stopped.
	docker ps --all --quiet | xargs -r docker rm --force --volumes >/dev/null 2>&1 || true
	docker network rm kind >/dev/null 2>&1 || true
	if [ -e "$work/pid" ]; then kill "$(cat "$work/pid")" && while [ -e "$work/pid" ]; do sleep 0.2; done; fi
	if [ "$status" -ne 0 ]; then tail -n 5 "$work/docker.log"; fi
	if [ -z "$other" ]; then forget || true; fi
	umount --recursive "$work/data" 2>/dev/null || true # A dockerd that does not start leaves it mounted.
	rm -rf "$work"
	exit "$status"
}
# dockerd looks for a runc in PATH, whichever runtime is its default.
PATH=$work:$docker/usr/bin:$docker/usr/sbin:$PATH dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" \
	--host "unix://$work/docker.sock" --storage-driver overlay2 --add-runtime "own=$work/runc" --default-runtime own \
	>"$work/docker.log" 2>&1 &
export DOCKER_HOST=unix://$work/docker.sock DOCKER_BUILDKIT=0 DOCKER_CONFIG=$work/home
export PATH=$work/bin:$PATH
trap remove EXIT
for _ in {1..150}; do if docker info >/dev/null 2>&1; then break; fi && sleep 0.2; done
docker info --format 'docker {{.ServerVersion}}, cgroup v{{.CgroupVersion}}'

IMAGE=countersign/node "$here/node-image.sh"
# The registry, and what the user's image is made of.
directory=$work/registry
mkdir -p "$directory/var/lib" "$directory/tmp"
cp "$(program registry)" "$directory/registry"
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib}}\nhttp: {addr: ":5000"}\n' >"$directory/config.yml"
tar -C "$directory" -c . | docker import --change 'ENTRYPOINT ["/registry", "serve", "/config.yml"]' - registry:own >/dev/null
pause=$(docker image ls --format '{{.Repository}}:{{.Tag}}' | grep '/pause:')

cat >"$work/config.yaml" <<-'YAML'
	# There is no image of kind's network plugin, nor of kube-proxy.
	networking: {disableDefaultCNI: true, kubeProxyMode: none}
	kubeadmConfigPatches:
	  - |
	    kind: KubeletConfiguration
	    failCgroupV1: false
YAML
cat >"$work/with-nodes" <<-SCRIPT
	#!/usr/bin/env bash
	set -euo pipefail
	subnet=1
	for node in \$(kind get nodes --name countersign); do
		docker exec -i "\$node" tee /etc/cni/net.d/10-bridge.conflist >/dev/null <<-CNI
			{"cniVersion": "1.0.0", "name": "bridge", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
			 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.\$subnet.0/24"}]]}}]}
		CNI
		subnet=\$((subnet + 1))
	done
	address=\$(docker inspect --format '{{.NetworkSettings.Networks.kind.IPAddress}}' countersign-control-plane)
	echo "apiServer: {host: \$address, port: 6443}" >$work/values.yaml
SCRIPT
cat >"$work/on-failure" <<-'SCRIPT'
	#!/usr/bin/env bash
	for node in $(kind get nodes --name countersign); do
		echo "== $node"
		docker exec "$node" journalctl --no-pager -n 60 -u kubelet -u containerd -u countersign || docker logs --tail 40 "$node"
	done
SCRIPT
chmod +x "$work/with-nodes" "$work/on-failure"
# The previous version: the newest tag before this commit. Without a tag, it is this commit with the version 0.0.0-0.
previous=$work/previous
git clone --quiet "$repository" "$previous"
tag=$(git -C "$repository" describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null || true)
if [ -n "$tag" ]; then
	git -C "$previous" checkout --quiet "$tag"
else
	tag=v0.0.0-0
	sed -i "s/^\(version\|appVersion\): .*/\1: ${tag#v}/" "$previous/conf/chart/Chart.yaml"
	git -C "$previous" -c user.name=e2e -c user.email=e2e@localhost commit --quiet --all --message "$tag"
	git -C "$previous" tag "$tag"
fi
echo "the previous version is $tag"
cat >"$work/after-story" <<-SCRIPT
	#!/usr/bin/env bash
	set -euo pipefail
	for node in \$(kind get nodes --name countersign); do
		docker exec -i "\$node" ctr --namespace k8s.io images import --all-platforms - <"$work/previous.tar" >/dev/null
	done
	exec "$work/bin/upgrade" --previous "$previous/conf/chart" "\$@"
SCRIPT
chmod +x "$work/after-story"
# cosign and helm have files of their own; Go has its caches where it always has them.
GOCACHE=$(go env GOCACHE) GOPATH=$(go env GOPATH) GOENV=$(go env GOENV)
export GOCACHE GOPATH GOENV HOME=$work/home
# The build of a release would compile every package again.
export BUILD_FLAGS=
go build -C "$repository" -o "$work/bin/upgrade" ./integration/kind/upgrade
(cd "$previous" && IMAGE=$work/previous-image NAME=localhost/countersign:previous ARCHITECTURES=$(go env GOARCH) scripts/image.sh)
tar -C "$work/previous-image" -cf "$work/previous.tar" .
export CONFIG=$work/config.yaml VALUES=$work/values.yaml WITH_NODES=$work/with-nodes ON_FAILURE=$work/on-failure
export AFTER_STORY=$work/after-story
export NODE_IMAGE=countersign/node REGISTRY_IMAGE=registry:own APP_IMAGE=$pause
cd "$repository"
scripts/kind.sh
