package doctor

import (
	"errors"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/containerd"
)

// pullChecks are the checks of what happens when images are pulled.
func pullChecks() []Check {
	return []Check{
		{
			"pull_plugins", "the plugins of containerd that run image verifiers are enabled",
			"remove them from disabled_plugins in containerd's configuration, and restart containerd",
			byConfig((*containerd.Config).PullPlugins),
		},
		{
			"transfer_service", "containerd's CRI plugin pulls through the transfer service",
			"remove that setting of the CRI plugin from containerd's configuration, and restart containerd",
			byConfig((*containerd.Config).PullsByTransfer),
		},
		{
			"verifier", "countersign-verifier is where containerd runs image verifiers",
			"run countersign install, or copy countersign-verifier to bin_dir with mode 0755", verifier,
		},
		{
			"verifier_limit", "containerd runs as many image verifiers as there are",
			"increase max_verifiers in containerd's configuration and restart containerd, or remove other verifiers",
			verifierError(containerd.ErrTooManyVerifiers),
		},
		{
			"verifier_executable", "every image verifier can be executed",
			"repair or remove that file: until then containerd refuses every pull",
			verifierError(containerd.ErrPullsRefused),
		},
		{
			"verifier_timeout", "containerd waits longer for the verifier than it may take",
			"set per_verifier_timeout in containerd's configuration above [pull] timeout, and restart containerd",
			withConfig(func(config *conf.Config, c *containerd.Config) error {
				return c.WaitsForVerifier(config.Pull.Timeout)
			}),
		},
		{
			"sandbox_image", "a policy admits the sandbox image",
			"add a scope for it to the system policy: while no policy admits it, it cannot be pulled, and no pod starts",
			reported("sandbox_image"),
		},
	}
}

// withConfig returns a check of containerd's configuration together with countersign's.
func withConfig(check func(*conf.Config, *containerd.Config) error) func(*Node) Answer {
	return func(n *Node) Answer {
		config, err := n.config()
		if err != nil {
			return unknown(err)
		}
		return byConfig(func(c *containerd.Config) error { return check(config, c) })(n)
	}
}

// verifier leaves the problems to which other checks answer to those.
func verifier(n *Node) Answer {
	return byConfig(func(c *containerd.Config) error {
		err := c.RunsVerifier()
		if errors.Is(err, containerd.ErrTooManyVerifiers) || errors.Is(err, containerd.ErrPullsRefused) {
			return nil
		}
		return err
	})(n)
}

// verifierError returns a check whether the verifier has one kind of problem.
func verifierError(kind error) func(*Node) Answer {
	return byConfig(func(c *containerd.Config) error {
		if err := c.RunsVerifier(); errors.Is(err, kind) {
			return err
		}
		return nil
	})
}

// registryChecks are the checks of how registries are reached.
func registryChecks() []Check {
	return []Check{
		{
			"config_path", "signatures are fetched with the hosts.toml files with which images are pulled",
			"set [registry] config_path to containerd's config_path, and restart countersign",
			withConfig(func(config *conf.Config, c *containerd.Config) error {
				return c.DiffersIn(config.Registry.ConfigPath)
			}),
		},
		{
			"hosts", "the hosts.toml files can be read",
			"correct that file: containerd and countersign ignore it",
			func(n *Node) Answer { return ofFiles(n, n.Hosts) },
		},
		{
			"lookasides", "registries.d can be read",
			"correct that file: the signatures of the registries in it are not found",
			func(n *Node) Answer { return ofFiles(n, n.Lookasides) },
		},
	}
}

func ofFiles(n *Node, problems []error) Answer {
	if _, err := n.config(); err != nil {
		return unknown(err)
	}
	return answers(texts(problems))
}
