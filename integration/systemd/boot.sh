#!/bin/sh
# boot.sh LOWER DIRECTORY PROGRAMS NAME INIT…: runs a program as the first process of new namespaces. Its root is an
# overlay of LOWER with its changes in DIRECTORY, and PROGRAMS is mounted at /opt/tools. It runs in the cgroup NAME.
set -eu
name=$4
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
	[ -e "$hierarchy/cgroup.procs" ] || continue
	mkdir -p "$hierarchy/$name"
	# Without processors and memory, nothing can run in a cgroup of version 1.
	for file in cpuset.cpus cpuset.mems; do
		if [ -e "$hierarchy/cpuset.cpu_exclusive" ]; then cat "$hierarchy/$file" >"$hierarchy/$name/$file"; fi
	done
	echo $$ >"$hierarchy/$name/cgroup.procs"
done
exec unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child --propagation private /bin/sh -euc '
lower=$1 directory=$2 programs=$3 name=$4
shift 4
cd "$directory"
mkdir -p upper work root containerd
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$directory/upper,workdir=$directory/work" root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
	mount -t cgroup2 cgroup2 sys/fs/cgroup
else
	mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
	for hierarchy in /sys/fs/cgroup/*; do
		[ -e "$hierarchy/cgroup.procs" ] || continue
		controller=${hierarchy##*/}
		mkdir -p "sys/fs/cgroup/$controller"
		case $controller in
		unified) mount -t cgroup2 cgroup2 "sys/fs/cgroup/$controller" ;;
		systemd) mount -t cgroup -o none,name=systemd cgroup "sys/fs/cgroup/$controller" ;;
		*) mount -t cgroup -o "$controller" cgroup "sys/fs/cgroup/$controller" ;;
		esac
	done
fi
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for device in null zero full random urandom tty; do
	cp -a "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
# The snapshotter mounts overlays, which do not work on an overlay.
mkdir -p var/lib/containerd opt/tools
mount --bind "$directory/containerd" var/lib/containerd
mount --bind "$programs" opt/tools
mount -o remount,bind,ro opt/tools
hostname "$name"
pivot_root . mnt
umount -l /mnt
exec chroot . /usr/bin/env -i container=countersign PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin "$@"
' boot "$@"
