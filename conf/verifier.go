package conf

import (
	"reflect"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Verifier is what containerd's image verifier has to know of the configuration.
type Verifier struct {
	// Socket is the daemon's, listen.socket.
	Socket string
	// Timeout is how long the verifier may take, pull.timeout.
	Timeout time.Duration
	// OnDaemonUnavailable is what becomes of a pull while the daemon does not answer.
	OnDaemonUnavailable OnDaemonUnavailable
}

// ReadVerifier returns the image verifier's part of the configuration at path, or at [DefaultPath] where path is empty,
// and the defaults where there is no file at that path. A problem in any other part does not count: the daemon goes on
// with what it has read, and a mistake that is being made elsewhere in the file must not stop every pull of the node.
func ReadVerifier(path string) (Verifier, error) {
	raw, path, err := readFile(path)
	if err != nil {
		return Verifier{}, err
	}
	return parseVerifier(path, raw)
}

// parseVerifier is [ReadVerifier] of bytes; an error is always [Faults].
func parseVerifier(path string, raw []byte) (Verifier, error) {
	part := struct {
		Pull   Pull   `toml:"pull"`
		Listen Listen `toml:"listen"`
	}{Default().Pull, Default().Listen}
	b := &binder{path: path}
	tree := make(map[string]any)
	if err := toml.Unmarshal(raw, &tree); err != nil {
		b.syntax(err)
		return Verifier{}, b.faults
	}
	b.lines = keyLines(raw)
	b.table("", reflect.ValueOf(&part).Elem(), map[string]any{
		"pull":   only(tree["pull"], "timeout", "on_daemon_unavailable"),
		"listen": only(tree["listen"], "socket"),
	})
	b.pull(part.Pull)
	b.socket("listen.socket", part.Listen.Socket)
	if len(b.faults) > 0 {
		return Verifier{}, b.faults
	}
	return Verifier{
		Socket: part.Listen.Socket, Timeout: part.Pull.Timeout, OnDaemonUnavailable: part.Pull.OnDaemonUnavailable,
	}, nil
}

// only returns those members of a table. What is no table is returned as it is, and is a problem.
func only(value any, names ...string) any {
	if value == nil {
		return map[string]any{}
	}
	members, ok := value.(map[string]any)
	if !ok {
		return value
	}
	kept := make(map[string]any, len(names))
	for name, member := range members {
		if slices.Contains(names, name) {
			kept[name] = member
		}
	}
	return kept
}
