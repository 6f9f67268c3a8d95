package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

// DaemonConfig configures a countersign daemon.
type DaemonConfig struct {
	// Program is the path of the program: see [Tools.BuildProgram].
	Program string
	// Settings are keys of config.toml by table, in addition to those that keep the daemon on its node. A nil value
	// removes a key. Tables may be dotted: {"enforce.namespaces": {"kube-system": "audit"}}.
	Settings map[string]map[string]any
	// Environment is added to the environment of this process.
	Environment []string
	// ImageService is the socket of the CRI image service, which this process passes to each start of the daemon, as
	// systemd does: the socket stays while no daemon runs. Nil: there is none.
	ImageService *os.File
}

// Daemon is countersign on a node. It may be started and ended repeatedly; all starts write to one log.
type Daemon struct {
	// MetricsAddress is the address of /metrics, /healthz and /readyz.
	MetricsAddress string

	config  DaemonConfig
	node    *Node
	name    string
	mutex   sync.Mutex // Guards the following fields.
	process *process
}

// StartDaemon starts countersign and waits until it is registered with containerd. Policies may be written before or
// after ([Node.WritePolicy]).
func (n *Node) StartDaemon(ctx context.Context, config DaemonConfig) (*Daemon, error) {
	daemon, err := n.NewDaemon(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := daemon.Start(); err != nil {
		return nil, err
	}
	if err := daemon.Ready(ctx); err != nil {
		daemon.Kill()
		return nil, err
	}
	return daemon, nil
}

// NewDaemon writes the configuration of a countersign daemon, but does not start it.
func (n *Node) NewDaemon(ctx context.Context, config DaemonConfig) (*Daemon, error) {
	port, err := FreePort(ctx)
	if err != nil {
		return nil, err
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	daemon := &Daemon{
		MetricsAddress: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), config: config, node: n,
		name: fmt.Sprintf("countersign-%d", len(n.daemons)+1),
	}
	if err := os.MkdirAll(n.PolicyDirectory(), 0o700); err != nil {
		return nil, fmt.Errorf("configuring countersign: %w", err)
	}
	contents, err := daemon.toml()
	if err != nil {
		return nil, err
	}
	if err := n.directory.write(daemon.name+".toml", contents); err != nil {
		return nil, err
	}
	n.daemons = append(n.daemons, daemon)
	return daemon, nil
}

// toml returns the configuration: everything below the node's directory, and the caller's settings.
func (d *Daemon) toml() ([]byte, error) {
	root := table{
		"policy":   table{"system": d.node.SystemPolicy(), "directory": d.node.PolicyDirectory()},
		"evidence": table{"directory": d.EvidenceDirectory()},
		"registry": table{
			"config_path": d.node.CertsDirectory(), "auth_file": d.node.AuthFile(),
			"lookaside": d.node.Path("registries.d"),
		},
		"containerd": table{
			"address": d.node.ContainerdSocket(), "nri_socket": d.node.NRISocket(), "namespace": "k8s.io",
		},
		"listen": table{"socket": d.Socket(), "metrics": d.MetricsAddress},
		"log":    table{"level": "debug", "format": "json"},
	}
	for path, settings := range d.config.Settings {
		target := root.at(path)
		maps.Copy(target, settings)
		maps.DeleteFunc(target, func(_ string, value any) bool { return value == nil })
	}
	contents, err := toml.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("configuring countersign: %w", err)
	}
	return contents, nil
}

// ConfigFile returns the path of the daemon's configuration.
func (d *Daemon) ConfigFile() string { return d.node.Path(d.name + ".toml") }

// LogFile returns the path of the daemon's log, which has its standard output and error.
func (d *Daemon) LogFile() string { return d.node.Path("log", d.name+".log") }

// Socket returns the path of the daemon's own socket.
func (d *Daemon) Socket() string { return d.node.Path(d.name + ".sock") }

// EvidenceDirectory returns the path of the daemon's evidence directory.
func (d *Daemon) EvidenceDirectory() string { return d.node.Path("evidence", d.name) }

// Start starts the daemon and does not wait.
func (d *Daemon) Start() error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process != nil && d.process.exited() == nil {
		return errors.New("starting countersign: it runs")
	}
	process, err := start(d.program())
	d.process = process
	return err
}

// Ready waits until the daemon is healthy, which means that it is registered with containerd.
func (d *Daemon) Ready(ctx context.Context) error {
	running := d.current()
	if running == nil {
		return errors.New("waiting for countersign: it was not started")
	}
	err := until(ctx, "countersign to be healthy", func(ctx context.Context) error {
		if err := running.exited(); err != nil {
			return stopAsking(err)
		}
		_, err := d.get(ctx, "/healthz")
		return err
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, tail(d.LogFile()))
	}
	return nil
}

// Terminate sends SIGTERM to the daemon and waits. It returns an error if the daemon does not exit with status 0.
func (d *Daemon) Terminate(ctx context.Context) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process == nil {
		return nil
	}
	stopping := d.process
	d.process = nil
	return stopping.stop(ctx, grace)
}

// Kill kills the daemon with SIGKILL.
func (d *Daemon) Kill() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.process == nil {
		return
	}
	d.process.kill()
	d.process = nil
}

// Restart terminates the daemon, starts it again and waits until it is registered.
func (d *Daemon) Restart(ctx context.Context) error {
	if err := d.Terminate(ctx); err != nil {
		return err
	}
	if err := d.Start(); err != nil {
		return err
	}
	return d.Ready(ctx)
}

// Process returns the running daemon, to signal it or to read its files in /proc; nil: it does not run.
func (d *Daemon) Process() *os.Process {
	if running := d.current(); running != nil && running.exited() == nil {
		return running.command.Process
	}
	return nil
}

// Wait waits until the daemon exits without a signal, and returns its exit code.
func (d *Daemon) Wait(ctx context.Context) (int, error) {
	running := d.current()
	if running == nil {
		return 0, errors.New("waiting for countersign to end: it was not started")
	}
	select {
	case <-running.ended:
		return running.command.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for countersign to end: %w", context.Cause(ctx))
	}
}

func (d *Daemon) current() *process {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.process
}

// get is [Get] of a path of the daemon's HTTP server.
func (d *Daemon) get(ctx context.Context, path string) (string, error) {
	return Get(ctx, "http://"+d.MetricsAddress+path)
}

// Get returns the body of the answer from a URL. Any status other than 200 is an error.
func Get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return string(body), err
}
