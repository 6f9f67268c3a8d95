package doctor

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/socket"
)

// countersignChecks are the checks of countersign itself.
func countersignChecks() []Check {
	return []Check{
		{
			"configuration", "countersign's configuration is valid",
			"correct the file; countersign config check shows every problem", configuration,
		},
		{
			"daemon", "the daemon answers",
			"systemctl start countersign; journalctl -u countersign has the cause if it does not start", daemonAnswers,
		},
		{
			"supervisor", "the daemon is started again when it ends, and when the node boots",
			"countersign install: it enables the service, or starts the supervisor", supervised,
		},
		{
			"reloaded", "the daemon uses the configuration in the file",
			"systemctl reload countersign; the log names the keys that need systemctl restart countersign", reloaded,
		},
		{
			"image_service", "the CRI image service answers, if it is configured",
			"systemctl start countersign-cri.socket countersign; without it the kubelet starts no container", servesImages,
		},
	}
}

func configuration(n *Node) Answer {
	problems, invalid := errors.AsType[conf.Problems](n.Config.Err)
	switch {
	case invalid && len(problems) > 0:
		return no(problems[0].Error() + more(len(problems)-1))
	case n.Config.Err != nil:
		return unknown(n.Config.Err)
	case n.Config.Value.File == "":
		return yes("there is no " + conf.DefaultPath + ": the defaults apply")
	default:
		return yes(n.Config.Value.File)
	}
}

func daemonAnswers(n *Node) Answer {
	if _, err := n.config(); err != nil {
		return unknown(err)
	}
	switch err := n.Daemon.Err; {
	case errors.Is(err, socket.ErrNoDaemon):
		return no(err.Error())
	case err != nil:
		return unknown(err)
	default:
		return yes(n.Daemon.Value.Version)
	}
}

func servesImages(n *Node) Answer {
	config, err := n.config()
	switch {
	case err != nil:
		return unknown(err)
	case config.CRIProxy.Socket == "":
		return yes("not configured")
	case n.ImageService != nil:
		return no(n.ImageService.Error())
	default:
		return yes(config.CRIProxy.Socket)
	}
}

// reloaded compares what the daemon reports of its configuration.
func reloaded(n *Node) Answer {
	config, err := n.config()
	if err != nil {
		return unknown(err)
	}
	if n.Daemon.Err != nil {
		return unknown(withoutDaemon())
	}
	used := n.Daemon.Value
	for _, setting := range []struct{ key, used, written string }{
		{"enforce.mode", used.Mode, config.Enforce.Mode.String()},
		{"enforce.namespaces", fmt.Sprint(used.Namespaces), fmt.Sprint(modes(config))},
		{"evidence.directory", used.Evidence.Directory, config.Evidence.Directory},
		{"cri_proxy.socket", used.ImageService, config.CRIProxy.Socket},
	} {
		if setting.used != setting.written {
			return no(fmt.Sprintf("%s is %q, and the file has %q", setting.key, setting.used, setting.written))
		}
	}
	return yes("")
}

// modes returns the modes of namespaces in a configuration, of which the daemon reports only the first.
func modes(config *conf.Config) map[string]string {
	found := make(map[string]string)
	for i, namespace := range slices.Sorted(maps.Keys(config.Enforce.Namespaces)) {
		if i < daemon.MaxNamespaces {
			found[namespace] = config.Enforce.Namespaces[namespace].String()
		}
	}
	return found
}
