package conf

import (
	"errors"

	"github.com/countersign/countersign/conf/pull"
)

// verifier has the image verifier's own reader read the same text, which understands less than TOML: what it does not
// understand, or takes for something else, must not come to light at the first pull.
func (b *binder) verifier(raw []byte, config *Config) {
	small, err := pull.Parse(raw)
	if fault := (*pull.Fault)(nil); errors.As(err, &fault) {
		b.faults = append(b.faults, Fault{
			Path: b.path, Line: fault.Line, Problem: "the image verifier reads this file too, and simpler: " + fault.Problem,
		})
		return
	}
	if err != nil || small != config.forVerifier() {
		b.faults = append(b.faults, Fault{
			Path: b.path, Problem: "the image verifier would take [pull] and listen.socket for something else; " +
				`write them as in the file that countersign brings: a table header, and key = "value" on a line each`,
		})
	}
}

// forVerifier returns what the image verifier has to know.
func (c *Config) forVerifier() pull.Settings {
	return pull.Settings{
		Socket:             c.Listen.Socket,
		Timeout:            c.Pull.Timeout,
		AllowWithoutDaemon: c.Pull.WithoutDaemon == WithoutDaemonAllow,
	}
}
