package conf

import (
	"reflect"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Verifier is the part of the configuration that containerd's image verifier needs.
type Verifier struct {
	// Socket is the path of the daemon's socket, listen.socket.
	Socket string
	// Timeout is how long the verifier may take, pull.timeout.
	Timeout time.Duration
	// OnDaemonUnavailable says whether pulls are allowed while the daemon does not answer, pull.on_daemon_unavailable.
	OnDaemonUnavailable OnDaemonUnavailable
}

// ReadVerifier returns the image verifier's part of the configuration at path. If path is empty, it reads
// [DefaultPath], and returns the defaults if no such file exists. Problems in other parts are ignored: the daemon
// continues with the configuration that it has read before, so a mistake elsewhere in the file must not stop every pull
// of the node.
func ReadVerifier(path string) (Verifier, error) {
	raw, path, err := readFile(path)
	if err != nil {
		return Verifier{}, err
	}
	return parseVerifier(path, raw)
}

// parseVerifier is [ReadVerifier] of bytes; an error is always [Problems].
func parseVerifier(path string, raw []byte) (Verifier, error) {
	part := struct {
		Pull   Pull   `toml:"pull"`
		Listen Listen `toml:"listen"`
	}{Default().Pull, Default().Listen}
	b := &binder{path: path}
	tree := make(map[string]any)
	if err := toml.Unmarshal(raw, &tree); err != nil {
		b.syntax(err)
		return Verifier{}, b.problems
	}
	b.positions = keyPositions(raw)
	b.table("", reflect.ValueOf(&part).Elem(), map[string]any{
		"pull":   only(tree["pull"], "timeout", "on_daemon_unavailable"),
		"listen": only(tree["listen"], "socket"),
	})
	b.pull(part.Pull)
	b.socket("listen.socket", part.Listen.Socket)
	if len(b.problems) > 0 {
		return Verifier{}, b.problems.sorted()
	}
	return Verifier{
		Socket: part.Listen.Socket, Timeout: part.Pull.Timeout, OnDaemonUnavailable: part.Pull.OnDaemonUnavailable,
	}, nil
}

// only returns a table with the named members. A value that is not a table is returned unchanged: the binder reports
// it.
func only(value any, names ...string) any {
	if value == nil {
		return map[string]any{}
	}
	members, ok := value.(map[string]any)
	if !ok {
		return value
	}
	selected := make(map[string]any, len(names))
	for name, member := range members {
		if slices.Contains(names, name) {
			selected[name] = member
		}
	}
	return selected
}
