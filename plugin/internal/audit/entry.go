package audit

import (
	"bytes"
	"encoding/json"
	"time"
)

// Entry is a record as read from a log, with the keys of both kinds that people read. Newer versions of the schema may
// have more keys: Line has all of them.
type Entry struct {
	// Line is the record as it was written, without the line break.
	Line []byte `json:"-"`

	Time      time.Time `json:"time"`
	Message   string    `json:"msg"`
	Outcome   string    `json:"outcome"`
	Reason    string    `json:"reason"`
	WouldDeny bool      `json:"would_deny"`
	Drift     bool      `json:"drift"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Container string    `json:"container"`
	Volume    string    `json:"volume"`
	Reference string    `json:"reference"`
	Detail    string    `json:"detail"`
	Schema    int       `json:"schema"`
}

// Parse reads a line of a log. It returns false for lines that are no records.
func Parse(line []byte) (Entry, bool) {
	line = bytes.TrimSpace(line)
	entry := Entry{}
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &entry) != nil {
		return Entry{}, false
	}
	entry.Line = line
	return entry, entry.Schema > 0 && (entry.Message == DecisionMessage || entry.Message == PullMessage)
}

// IsText reports whether a line is a record of a log in the format "text", which [Parse] does not read.
func IsText(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("time=")) {
		return false
	}
	for _, message := range []string{DecisionMessage, PullMessage} {
		if bytes.Contains(line, []byte(" msg="+message+" outcome=")) {
			return true
		}
	}
	return false
}

// Filter selects entries. Its zero value selects all.
type Filter struct {
	// Since selects requests that arrived at this time or later.
	Since time.Time
	// Denied selects what was refused, or would have been.
	Denied bool
	// Namespace selects the namespace of a pod; empty: all.
	Namespace string
	// Mention selects records that contain this text; empty: all. A reader may skip other lines before it parses them.
	Mention string
}

// Mentions reports whether a line contains what the filter's records contain.
func (f Filter) Mentions(line []byte) bool { return bytes.Contains(line, []byte(f.Mention)) }

// Selects reports whether the filter selects an entry.
func (f Filter) Selects(e Entry) bool {
	return !e.Time.Before(f.Since) &&
		(!f.Denied || e.Outcome == "deny" || e.WouldDeny) &&
		(f.Namespace == "" || e.Namespace == f.Namespace) &&
		f.Mentions(e.Line)
}
