package pull

import (
	"fmt"
	"strings"
)

// The keys of the settings.
const (
	socketKey        = "listen.socket"
	timeoutKey       = "pull.timeout"
	withoutDaemonKey = "pull.without_daemon"
)

// reader reads a configuration line by line.
type reader struct {
	settings Settings
	number   int
	// table is the path of the table that is being read, "" at the top.
	table string
	// seen are the settings that were set.
	seen map[string]bool
}

// read reads one line, and says what is wrong with it where it is not understood.
func (r *reader) read(line string) (problem string) {
	line = blank(line)
	switch {
	case isEnd(line):
		return ""
	case strings.HasPrefix(line, "[["):
		return "there are no arrays of tables in this file; write [table]"
	case strings.HasPrefix(line, "["):
		return r.header(line[1:])
	default:
		return r.setting(line)
	}
}

// header reads the rest of a line that begins a table.
func (r *reader) header(rest string) (problem string) {
	path, rest, ok := key(rest)
	if !ok || !strings.HasPrefix(rest, "]") || !isEnd(blank(rest[1:])) {
		return "write the name of a table in plain letters: [table]"
	}
	r.table = path
	return ""
}

// setting reads a line with a key and a value.
func (r *reader) setting(line string) (problem string) {
	path, rest, ok := key(line)
	if !ok || !strings.HasPrefix(rest, "=") {
		return `write a key in plain letters and a value on one line: key = "value"`
	}
	if r.table != "" {
		path = r.table + "." + path
	}
	rest = blank(rest[1:])
	if path == "listen" || path == "pull" {
		return fmt.Sprintf(`write the table %s as [%s], with each key on a line of its own: key = "value"`, path, path)
	}
	if path != socketKey && path != timeoutKey && path != withoutDaemonKey {
		if rest, ok = skip(rest); !ok || !isEnd(blank(rest)) {
			return fmt.Sprintf(`write %s on one line, as a string in quotes: "value"`, path)
		}
		return ""
	}
	value, rest, ok := text(rest)
	if !ok || strings.ContainsRune(value, '\\') || !isEnd(blank(rest)) {
		return fmt.Sprintf(`write %s as a plain string, in double quotes and without backslashes: "value"`, path)
	}
	if r.seen[path] {
		return fmt.Sprintf("%s is set twice; remove one", path)
	}
	r.seen[path] = true
	return r.settings.set(path, value)
}

// blank cuts off leading white space, of which TOML knows two kinds.
func blank(s string) string { return strings.TrimLeft(s, " \t") }

// isEnd reports whether nothing that counts is left of a line.
func isEnd(s string) bool { return s == "" || s[0] == '#' }

// key reads a key, bare or in quotes, plain or dotted, and the white space after it. Quoted keys are told from bare
// ones by nothing, as in TOML, but for those that would be taken for a dotted one.
func key(s string) (path, rest string, ok bool) {
	var parts []string
	for {
		part, rest, ok := keyPart(blank(s))
		if !ok {
			return "", "", false
		}
		parts = append(parts, part)
		rest = blank(rest)
		if !strings.HasPrefix(rest, ".") {
			return strings.Join(parts, "."), rest, true
		}
		s = rest[1:]
	}
}

// dots stands for a part with a dot in it: no setting is called so.
const dots = "…"

func keyPart(s string) (part, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) || strings.HasPrefix(s, "'") {
		part, rest, ok = text(s)
		if strings.ContainsRune(part, '.') {
			part = dots
		}
		return part, rest, ok && !strings.ContainsRune(part, '\\')
	}
	end := 0
	for end < len(s) && isBare(s[end]) {
		end++
	}
	return s[:end], s[end:], end > 0
}

func isBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// text reads a string that ends on the same line. In one with double quotes backslashes are left as they are, and in
// one with single quotes they mean nothing in TOML, but are as good as any cause to ask for it to be written plainly.
func text(s string) (value, rest string, ok bool) {
	if s == "" || strings.HasPrefix(s, `"""`) || strings.HasPrefix(s, "'''") {
		return "", "", false
	}
	quote := s[0]
	if quote != '"' && quote != '\'' {
		return "", "", false
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return s[1:i], s[i+1:], true
		case s[i] == '\\' && quote == '"':
			i++
		}
	}
	return "", "", false
}

// skip passes over a value that is none of the settings: a string, or an inline table that ends on the same line.
func skip(s string) (rest string, ok bool) {
	if !strings.HasPrefix(s, "{") {
		_, rest, ok = text(s)
		return rest, ok
	}
	depth := 0
	for s != "" {
		switch s[0] {
		case '{':
			depth++
		case '}':
			depth--
		case '#':
			return "", false
		case '"', '\'':
			if _, s, ok = text(s); !ok {
				return "", false
			}
			continue
		}
		s = s[1:]
		if depth == 0 {
			return s, true
		}
	}
	return "", false
}
