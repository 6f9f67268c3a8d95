package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// standardPath is where programs are, as systemd has it for services: containerd starts plugins without an environment.
const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// SystemdRuns reports whether systemd manages the services of this host (sd_booted(3)). Then it can run the daemon.
func SystemdRuns() bool {
	info, err := os.Stat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// environment returns the environment of the daemon: the lines NAME=value of the settings. Other lines are reported,
// and ignored: a typing error must not stop the node.
func (n *Node) environment() (environment []string, problem error) {
	environment = []string{"PATH=" + standardPath}
	text, err := os.ReadFile(n.Settings)
	if errors.Is(err, fs.ErrNotExist) {
		return environment, nil
	}
	if err != nil {
		return environment, fmt.Errorf("reading the environment of the daemon: %w", err)
	}
	var problems []error
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, _, assigned := strings.Cut(line, "=")
		if !assigned || name == "" || strings.ContainsAny(name, " \t\"'") {
			problems = append(problems, fmt.Errorf("%s:%d is not NAME=value, and is ignored", n.Settings, number))
			continue
		}
		environment = append(environment, line)
	}
	return environment, errors.Join(problems...)
}
