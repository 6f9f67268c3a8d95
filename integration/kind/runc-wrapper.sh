#!/bin/bash
# Runs runc without the capabilities that this machine does not have, for containers that want all of them: runc refuses
# to start them otherwise. Nothing is changed where the machine has every capability.
set -u
runc=REAL_RUNC
names=(chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
	net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
	sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override
	mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore)

bounding=$((16#$(awk '/^CapBnd/ {print $2}' /proc/self/status)))
missing=
for i in "${!names[@]}"; do
	if (((bounding >> i) % 2 == 0)); then missing+="\"CAP_${names[i]^^}\","; fi
done

bundle=. process= command= previous=
for argument in "$@"; do
	case $previous in
	--bundle | -b) bundle=$argument ;;
	--process | -p) process=$argument ;;
	esac
	case $argument in
	create | run | exec) [ -n "$command" ] || command=$argument ;;
	--bundle=*) bundle=${argument#*=} ;;
	--process=*) process=${argument#*=} ;;
	esac
	previous=$argument
done
without='if .capabilities then .capabilities |= map_values(. - $missing) else . end | del(.oomScoreAdj, .rlimits)'
edit() { # edit FILE FILTER
	jq --argjson missing "[${missing%,}]" "$2" "$1" >"$1.new" && cat "$1.new" >"$1"
	rm -f "$1.new"
}
if [ -n "$missing" ]; then
	case $command in
	create | run) edit "$bundle/config.json" ".process |= ($without)" ;;
	exec) if [ -n "$process" ]; then edit "$process" "$without"; fi ;;
	esac
fi
exec "$runc" "$@"
