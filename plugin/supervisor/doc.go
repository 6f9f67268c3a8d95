// Package supervisor runs the daemon on a node on which containerd starts countersign as a plugin that is installed in
// /opt/nri/plugins, and not systemd as a service: docs/decisions has why.
//
// containerd starts the program once, and does not start it again if it ends. So this program starts a supervisor in a
// session of its own, which survives containerd, and declines to be a plugin. The supervisor runs the daemon, which
// registers at NRI's socket as the service does, and starts it again when it ends.
//
// Two locked files in a directory say what runs. The supervisor holds the one, and the daemon the other. Each process
// receives its lock from the process that starts it, and waits for the lock of the other one: when the kernel releases
// it, the other process has ended, whatever the cause, and is started again.
package supervisor
