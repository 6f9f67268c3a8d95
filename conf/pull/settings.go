package pull

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultPath is where the configuration is looked for when no path is given.
const DefaultPath = "/etc/countersign/config.toml"

// maxSize is far above any configuration.
const maxSize = 1 << 20

// Bounds of the settings.
const (
	// MinTimeout is less than any registry takes.
	MinTimeout = 100 * time.Millisecond
	// MaxTimeout stays below the 10 s after which containerd ends a verifier (per_verifier_timeout).
	MaxTimeout = 9 * time.Second
	// MaxSocket is the longest path of a unix socket on Linux (unix(7), sun_path, less its final zero byte).
	MaxSocket = 107
)

// Settings are what the image verifier has to know.
type Settings struct {
	// Socket is the daemon's, listen.socket in config.toml.
	Socket string
	// Timeout is how long the verifier may take, pull.timeout.
	Timeout time.Duration
	// AllowWithoutDaemon lets images in while the daemon is not there: pull.without_daemon is "allow".
	AllowWithoutDaemon bool
}

// Default returns the settings of a node that has no config.toml.
func Default() Settings {
	return Settings{Socket: "/run/countersign/countersign.sock", Timeout: 8 * time.Second}
}

// Read returns the settings in the configuration at path. Where path is empty it is the one at [DefaultPath], and
// [Default] when there is nothing at that path. With an error there are no settings.
func Read(path string) (Settings, error) {
	if path == "" {
		if _, err := os.Lstat(DefaultPath); errors.Is(err, fs.ErrNotExist) {
			return Default(), nil
		}
		path = DefaultPath
	}
	file, err := os.Open(path)
	if err != nil {
		return Settings{}, fmt.Errorf("reading configuration: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return Settings{}, fmt.Errorf("reading configuration: %w", err)
	}
	if len(raw) > maxSize {
		return Settings{}, fmt.Errorf("reading configuration: %s is larger than 1 MiB; is it the right file?", path)
	}
	settings, err := Parse(raw)
	if err != nil {
		return Settings{}, fmt.Errorf("reading configuration: %s:%w", path, err)
	}
	return settings, nil
}

// Parse returns the settings in the text of a configuration; those that are not in it have their defaults. An error
// is a [*Fault]. A text that is no TOML at all may be taken for one.
func Parse(raw []byte) (Settings, error) {
	r := reader{settings: Default(), seen: map[string]bool{}}
	for line := range strings.SplitSeq(string(raw), "\n") {
		r.number++
		if problem := r.read(strings.TrimSuffix(line, "\r")); problem != "" {
			return Settings{}, &Fault{Line: r.number, Problem: problem}
		}
	}
	return r.settings, nil
}

// Fault is what is wrong with a configuration.
type Fault struct {
	// Line counts from 1.
	Line int
	// Problem says what is wrong and what to write instead.
	Problem string
}

// Error implements error: the line, and the problem.
func (f *Fault) Error() string { return fmt.Sprintf("%d: %s", f.Line, f.Problem) }

// set takes the value of a setting, and says what is wrong with it.
func (s *Settings) set(key, value string) (problem string) {
	var err error
	switch key {
	case socketKey:
		s.Socket = value
		if !filepath.IsAbs(value) || len(value) > MaxSocket || strings.ContainsRune(value, 0) {
			return fmt.Sprintf("%s is %q; it must be an absolute path of at most %d bytes", key, value, MaxSocket)
		}
	case timeoutKey:
		s.Timeout, err = time.ParseDuration(value)
		if err != nil || s.Timeout < MinTimeout || s.Timeout > MaxTimeout {
			return fmt.Sprintf(`%s is %q; it must be a duration between %s and %s`, key, value, MinTimeout, MaxTimeout)
		}
	case withoutDaemonKey:
		s.AllowWithoutDaemon = value == "allow"
		if value != "allow" && value != "deny" {
			return fmt.Sprintf(`%s is %q; use "deny" or "allow"`, key, value)
		}
	}
	return ""
}
