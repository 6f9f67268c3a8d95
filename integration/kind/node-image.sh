#!/usr/bin/env bash
# node-image.sh: makes a node image for kind of pinned programs, in the Docker that DOCKER_HOST names, because none can be
# pulled. What kind itself adds comes from its module. Its containerd is the one that a test of kind's own would have.
#
#   BASE      a Debian root with systemd       KIND_FILES  images/base of kind's module
#   PROGRAMS  directories with the programs    IMAGE       name of the image
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

program() { # program NAME
	local directory
	for directory in $PROGRAMS; do
		if [ -x "$directory/$1" ]; then echo "$directory/$1" && return; fi
	done
	echo "there is no program $1" >&2 && return 1
}

root=$work/root
mkdir -p "$root"/{usr/local/bin,usr/local/sbin,usr/bin,kind/images,opt/cni/bin,etc/systemd/system/containerd.service.d}
cp -r "$KIND_FILES"/files/. "$root/"
chmod -R u+w,a+rX "$root"
chmod 0755 "$root"/usr/local/bin/* "$root"/kind/bin/*
for name in containerd containerd-shim-runc-v2 ctr crictl; do cp "$(program "$name")" "$root/usr/local/bin/$name"; done
for name in kubelet kubeadm kubectl; do cp "$(program "$name")" "$root/usr/bin/$name"; done
cp "$(program runc)" "$root/usr/local/sbin/runc.real"
sed 's|REAL_RUNC|/usr/local/sbin/runc.real|' "$here/runc-wrapper.sh" >"$root/usr/local/sbin/runc"
chmod 0755 "$root/usr/local/sbin/runc"
# Without the capability that the wrapper takes away, the kubelet's settings for the out-of-memory killer fail.
sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$root/etc/containerd/config.toml"
for name in bridge host-local loopback; do cp "$(program "$name")" "$root/opt/cni/bin/$name"; done
version=$("$(program kubeadm)" version -o short)
echo "$version" >"$root/kind/version"
# The build of the image has no containerd: each start imports the images of the control plane, as kind's build does.
cat >"$root/etc/systemd/system/containerd.service.d/images.conf" <<-'UNIT'
	[Service]
	ExecStartPost=/bin/sh -c 'for i in /kind/images/*.tar; do ctr -n k8s.io images import --all-platforms --no-unpack \
		--digests --label=io.cri-containerd.pinned=pinned "$i" >/dev/null; done'
UNIT

# single NAME PROGRAM ENTRYPOINT…: makes an image of one static program. The entrypoint is JSON.
single() {
	local directory=$work/single
	rm -rf "$directory" && mkdir -p "$directory/usr/local/bin"
	cp "$2" "$directory/usr/local/bin/$(basename "$2")"
	tar -C "$directory" -c . | docker import --change "ENTRYPOINT $3" - "$1" >/dev/null
	docker save "$1" -o "$root/kind/images/$(basename "$2").tar"
}

while read -r image; do
	case $image in
	*/kube-apiserver:* | */kube-controller-manager:* | */kube-scheduler:* | */etcd:*)
		name=$(basename "${image%:*}")
		single "$image" "$(program "$name")" "[\"/usr/local/bin/$name\"]"
		;;
	*/pause:*)
		# kind's configuration names the sandbox image, whichever release kubeadm lists.
		sandbox=$(sed -n 's/^ *sandbox_image = "\(.*\)"/\1/p' "$root/etc/containerd/config.toml")
		single "$sandbox" "$(program pause)" '["/usr/local/bin/pause"]'
		;;
	esac
done < <("$(program kubeadm)" config images list --kubernetes-version "$version" 2>/dev/null)

tar -C "$BASE" -c . | docker import - "$IMAGE-base" >/dev/null
tar -C "$root" -c . >"$work/root.tar"
mkdir "$work/context" && mv "$work/root.tar" "$work/context/"
cat >"$work/context/Dockerfile" <<E2
FROM $IMAGE-base
ADD root.tar /
RUN systemctl enable containerd kubelet undo-mount-hacks && systemctl mask systemd-binfmt systemd-udevd getty.target \
		console-getty.service systemd-tmpfiles-setup.service && \
	echo ReadKMsg=no >>/etc/systemd/journald.conf && rm -f /etc/machine-id && mkdir -p /etc/kubernetes/manifests && \
	ctr oci spec | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
		>/etc/containerd/cri-base.json
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
E2
DOCKER_BUILDKIT=0 docker build -q -t "$IMAGE" "$work/context"
