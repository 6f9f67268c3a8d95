package node

import (
	"os"
	"slices"
)

// program returns how the daemon is started.
func (d *Daemon) program() program {
	p := program{
		path: d.config.Program, arguments: []string{"run", "--config", d.ConfigFile()},
		environment: d.config.Environment, directory: d.node.directory.path, output: d.LogFile(),
	}
	if d.config.ImageService != nil {
		// sd_listen_fds(3): the variable names the process that the sockets are for, which only that process knows.
		p.path, p.arguments = "/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh", p.path}, p.arguments...)
		p.environment = append(slices.Clone(p.environment), "LISTEN_FDS=1")
		p.files = []*os.File{d.config.ImageService}
	}
	return p
}
