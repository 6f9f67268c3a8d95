package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/containerd"
)

// containerdChecks are the checks of containerd and of the connection with it.
func containerdChecks() []Check {
	return []Check{
		{
			"containerd", "containerd answers",
			"start containerd, or set [containerd] address to its socket",
			func(n *Node) Answer { return ofRuntime(n.Version.Err, n.Version.Value) },
		},
		{
			"containerd_version", "this version of containerd is supported",
			"upgrade containerd to 2.2.8, 2.3.4, 2.4 or a later version", supportedVersion,
		},
		{
			"containerd_config", "containerd's configuration can be read",
			"correct the file; name it with --containerd-config if containerd does not run, or runs in another PID namespace",
			readable,
		},
		{
			"containerd_current", "containerd was started after its configuration was changed",
			"systemctl restart containerd; running containers keep running", current,
		},
		{
			"nri_enabled", "NRI accepts plugins",
			"set disable = false and disable_connections = false for NRI in containerd's configuration, and restart containerd",
			byConfig((*containerd.Config).ServesNRI),
		},
		{
			"nri_socket", "NRI's socket accepts connections",
			"set [containerd] nri_socket to socket_path of NRI in containerd's configuration; after a change of that, restart " +
				"containerd",
			nriSocket,
		},
		{
			"nri_timeouts", "NRI waits long enough for a decision",
			"remove plugin_request_timeout and plugin_registration_timeout from containerd's configuration, or increase them",
			nriTimeouts,
		},
		{
			"restore", "containerd restores no containers from checkpoint images",
			"remove enable_experimental_restore_via_create from containerd's configuration, and restart containerd",
			byConfig((*containerd.Config).Restores),
		},
		{
			"snapshotters", "snapshots prove which files a container has",
			"use a snapshotter that is not remote, such as overlayfs, for the CRI plugin and its runtimes", snapshotters,
		},
	}
}

func ofRuntime(err error, value string) Answer {
	if err != nil {
		return answer(err)
	}
	return yes(value)
}

// byConfig returns a check of containerd's configuration.
func byConfig(check func(*containerd.Config) error) func(*Node) Answer {
	return func(n *Node) Answer {
		config, err := n.containerd()
		if err != nil {
			return unknown(err)
		}
		return answer(check(config))
	}
}

// containerd returns containerd's configuration, or why it is not known.
func (n *Node) containerd() (*containerd.Config, error) {
	if _, err := n.config(); err != nil {
		return nil, err
	}
	if n.Containerd.Err != nil || n.Containerd.Value == nil {
		return nil, withoutContainerdConfig()
	}
	return n.Containerd.Value, nil
}

func supportedVersion(n *Node) Answer {
	if _, err := n.config(); err != nil {
		return unknown(err)
	}
	if n.Version.Err != nil {
		return unknown(withoutContainerd())
	}
	if err := nri.Unserved(n.Version.Value); err != nil {
		return no(err.Error())
	}
	return yes(n.Version.Value)
}

func readable(n *Node) Answer {
	if _, err := n.config(); err != nil {
		return unknown(err)
	}
	if n.Containerd.Err != nil {
		return unknown(n.Containerd.Err)
	}
	return yes(n.Containerd.Value.Path())
}

func current(n *Node) Answer {
	config, err := n.containerd()
	if err != nil {
		return unknown(err)
	}
	if n.Started.Err != nil {
		return unknown(n.Started.Err)
	}
	if changed := config.ChangedSince(n.Started.Value); changed != "" {
		return no(fmt.Sprintf("%s was changed after containerd was started at %s, which may use an earlier version", changed,
			n.Started.Value.UTC().Format(time.RFC3339)))
	}
	return yes("")
}

func nriSocket(n *Node) Answer {
	config, err := n.config()
	if err != nil {
		return unknown(err)
	}
	if n.NRI == nil {
		return yes(config.Containerd.NRISocket)
	}
	merged, err := n.containerd()
	if err == nil && merged.NRISocket() != config.Containerd.NRISocket && !errors.Is(n.NRI, fs.ErrPermission) {
		return no(fmt.Sprintf("%v; containerd's configuration has socket_path = %q", n.NRI, merged.NRISocket()))
	}
	return answer(n.NRI)
}

func nriTimeouts(n *Node) Answer {
	config, err := n.config()
	if err != nil {
		return unknown(err)
	}
	return byConfig(func(c *containerd.Config) error { return c.Waits(config.Enforce.DecisionTimeout) })(n)
}

func snapshotters(n *Node) Answer {
	config, err := n.config()
	if err != nil {
		return unknown(err)
	}
	if config.Enforce.InsecureRemoteSnapshotters {
		return yes("insecure_remote_snapshotters is set: images are evaluated nevertheless")
	}
	if n.Remote.Err != nil {
		return unknown(n.Remote.Err)
	}
	return byConfig(func(c *containerd.Config) error { return c.UsesRemote(n.Remote.Value) })(n)
}

// requiredChecks are the checks of what containerd does while the plugin is not registered.
func requiredChecks() []Check {
	const install = "run countersign install --mode enforce, or install 99-countersign.toml as the last import, and " +
		"restart containerd"
	return []Check{
		{
			"registered", "the plugin is registered with NRI",
			"systemctl restart countersign; if the cause says that containerd's NRI accepts no plugin, restart containerd",
			reported("registered"),
		},
		{"validator", "NRI's default validator is enabled", install, enforcing((*containerd.Config).Validates)},
		{
			"required", "containerd requires the plugin", install,
			enforcing(func(c *containerd.Config) error { return c.Lists(nri.Index, nri.Name) }),
		},
		{
			"required_last", "no later file replaces the list of required plugins",
			"add countersign to the list in that file, or rename the file so that 99-countersign.toml is the last import",
			byConfig(func(c *containerd.Config) error { return c.Replaced(nri.Index, nri.Name) }),
		},
		{
			"tolerated", "no pod can opt out of required plugins",
			"remove tolerate_missing_plugins_annotation from containerd's configuration, and restart containerd",
			byConfig((*containerd.Config).Tolerates),
		},
	}
}

// enforcing returns a check of containerd's configuration that must hold only where a namespace is not in audit mode.
func enforcing(check func(*containerd.Config) error) func(*Node) Answer {
	return func(n *Node) Answer {
		config, err := n.config()
		if err != nil {
			return unknown(err)
		}
		if !config.ModeAnywhere(conf.ModeEnforce) {
			return yes("not needed: every namespace is in audit mode")
		}
		return byConfig(check)(n)
	}
}

// reported returns a check that only the daemon can answer.
func reported(name string) func(*Node) Answer {
	return func(n *Node) Answer {
		if _, err := n.config(); err != nil {
			return unknown(err)
		}
		if n.Daemon.Err != nil {
			return unknown(withoutDaemon())
		}
		check := n.Daemon.Value.Check(name)
		return Answer{Status: Status(check.Status), Cause: check.Cause}
	}
}
