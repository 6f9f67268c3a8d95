package conf

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
)

// Mode is whether denials are enforced. Its zero value enforces.
type Mode uint8

// The two modes.
const (
	// ModeEnforce refuses the container.
	ModeEnforce Mode = iota
	// ModeAudit reports that the container would have been refused, and admits it.
	ModeAudit
)

// String returns the mode as in config.toml.
func (m Mode) String() string {
	if m == ModeAudit {
		return "audit"
	}
	return "enforce"
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Mode) UnmarshalText(text []byte) error {
	return oneOf(m, text, ModeEnforce, ModeAudit)
}

// Running is what happens to running containers that the policy refuses. Its zero value reports them.
type Running uint8

// The two values.
const (
	// RunningReport reports the container.
	RunningReport Running = iota
	// RunningStop also stops it, within limits.
	RunningStop
)

// String returns the value as in config.toml.
func (r Running) String() string {
	if r == RunningStop {
		return "stop"
	}
	return "report"
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Running) UnmarshalText(text []byte) error {
	return oneOf(r, text, RunningReport, RunningStop)
}

// OnDaemonUnavailable is whether pulls are allowed while the daemon is unreachable. The zero value refuses them.
type OnDaemonUnavailable uint8

// The two values.
const (
	// DenyPulls refuses the pull; the kubelet retries.
	DenyPulls OnDaemonUnavailable = iota
	// AllowPulls allows the pull; the policy is enforced when a container is created.
	AllowPulls
)

// String returns the value as in config.toml.
func (w OnDaemonUnavailable) String() string {
	if w == AllowPulls {
		return "allow"
	}
	return "deny"
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (w *OnDaemonUnavailable) UnmarshalText(text []byte) error {
	return oneOf(w, text, DenyPulls, AllowPulls)
}

// Identity is how a Sigstore bundle is matched with an image's reference. Its zero value is the stricter one.
type Identity uint8

// The two values.
const (
	// IdentityAnnotation requires the reference in the signed statement, as the annotation docker-reference.
	IdentityAnnotation Identity = iota
	// IdentityDigest requires only the digest: a signature for one repository is then accepted in every other.
	IdentityDigest
)

// String returns the identity as in config.toml.
func (i Identity) String() string {
	if i == IdentityDigest {
		return "digest"
	}
	return "annotation"
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (i *Identity) UnmarshalText(text []byte) error {
	return oneOf(i, text, IdentityAnnotation, IdentityDigest)
}

// Format is the format of log records.
type Format uint8

// The two formats.
const (
	FormatJSON Format = iota
	FormatText
)

// String returns the format as in config.toml.
func (f Format) String() string {
	if f == FormatText {
		return "text"
	}
	return "json"
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Format) UnmarshalText(text []byte) error {
	return oneOf(f, text, FormatJSON, FormatText)
}

// TracingProtocol is the protocol of OTLP in which traces are sent.
type TracingProtocol uint8

// The two protocols, which have the names of OTEL_EXPORTER_OTLP_PROTOCOL.
const (
	TracingHTTP TracingProtocol = iota
	TracingGRPC
)

// String returns the protocol as in config.toml.
func (p TracingProtocol) String() string {
	if p == TracingGRPC {
		return "grpc"
	}
	return "http/protobuf"
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *TracingProtocol) UnmarshalText(text []byte) error {
	return oneOf(p, text, TracingHTTP, TracingGRPC)
}

// Level is the minimum level that is logged. It is a [slog.Leveler]; its zero value is info.
type Level slog.Level

// Level implements [slog.Leveler].
func (l Level) Level() slog.Level { return slog.Level(l) }

// String returns the level as in config.toml.
func (l Level) String() string { return strings.ToLower(slog.Level(l).String()) }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the four named levels of slog.
func (l *Level) UnmarshalText(text []byte) error {
	return oneOf(l, text,
		Level(slog.LevelDebug), Level(slog.LevelInfo), Level(slog.LevelWarn), Level(slog.LevelError))
}

// oneOf sets target to the choice with this text.
func oneOf[T fmt.Stringer](target *T, text []byte, choices ...T) error {
	quoted := make([]string, 0, len(choices))
	for _, choice := range choices {
		if choice.String() == string(text) {
			*target = choice
			return nil
		}
		quoted = append(quoted, strconv.Quote(choice.String()))
	}
	return fmt.Errorf("%q is not known; use %s", text, strings.Join(quoted, " or "))
}

// Size is a number of bytes.
type Size int64

// Units of a [Size].
const (
	KiB Size = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
)

// String returns the size as in config.toml, in the largest unit that divides it.
func (s Size) String() string {
	for _, unit := range sizeUnits() {
		if s != 0 && s%unit.bytes == 0 {
			return strconv.FormatInt(int64(s/unit.bytes), 10) + unit.name
		}
	}
	return "0B"
}

// UnmarshalText implements [encoding.TextUnmarshaler]: an integer and one of B, KiB, MiB, GiB and TiB.
func (s *Size) UnmarshalText(text []byte) error {
	for _, unit := range sizeUnits() {
		digits, found := strings.CutSuffix(string(text), unit.name)
		if !found {
			continue
		}
		number, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 63)
		if err != nil || number > uint64(math.MaxInt64/unit.bytes) {
			break
		}
		*s = Size(number) * unit.bytes
		return nil
	}
	return fmt.Errorf(`%q is not a size; write a whole number and a unit, like "512MiB" or "1GiB"`, text)
}

type sizeUnit struct {
	name  string
	bytes Size
}

// sizeUnits returns the units from the largest down, so that "B", a suffix of all others, is last.
func sizeUnits() []sizeUnit {
	return []sizeUnit{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}
}
