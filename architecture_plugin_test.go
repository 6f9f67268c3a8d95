package countersign_test

import (
	"strings"
	"testing"
)

// TestTheProgramsHaveOneDirection: commands join nothing and call the daemon's parts; the daemon joins the gates; gates
// and the packages below plugin/internal do not import their callers. "policy" stands for that package alone.
func TestTheProgramsHaveOneDirection(t *testing.T) {
	rules := map[string][]string{
		"plugin/countersign": {
			"conf", "nri", "plugin/convert", "plugin/daemon", "plugin/doctor", "plugin/install", "plugin/internal/audit",
			"plugin/internal/claim", "plugin/internal/containerd", "plugin/internal/cri", "plugin/internal/fetch",
			"plugin/internal/socket", "plugin/node", "plugin/supervisor",
			"policy", "policy/evidence", "policy/files", "policy/origin", "policy/signature", "policy/text",
		},
		"plugin/daemon": {
			"conf", "nri", "plugin/daemon", "plugin/cri", "plugin/pull", "plugin/internal", "policy", "policy/bundle",
			"policy/evidence", "policy/files", "policy/origin", "policy/registry", "policy/signature", "policy/text",
		},
		"plugin/convert":  {},
		"plugin/pull":     {"nri", "plugin/internal", "policy", "policy/registry"},
		"plugin/cri":      {"plugin/cri", "policy"},
		"plugin/verifier": {"conf", "plugin/internal/socket", "plugin/verifier"},
		"plugin/doctor": {
			"conf", "nri", "plugin/daemon", "plugin/internal/containerd", "plugin/internal/cri", "plugin/internal/socket",
			"plugin/supervisor", "policy", "policy/files", "policy/signature", "policy/text",
		},
		"plugin/node":       {},
		"plugin/install":    {"conf", "nri", "plugin/install", "plugin/internal/containerd", "plugin/supervisor"},
		"plugin/supervisor": {},

		"plugin/internal/audit":      {"policy"},
		"plugin/internal/claim":      {"policy/evidence/format", "policy/signature"},
		"plugin/internal/fetch":      {"policy", "policy/evidence/fetch"},
		"plugin/internal/metrics":    {"plugin/internal/audit", "policy", "policy/registry", "policy/text"},
		"plugin/internal/containerd": {},
		"plugin/internal/cri":        {},
		"plugin/internal/socket":     {"policy/text"},
		"plugin/internal/tracing":    {"policy"},
		"plugin/tracingtest":         {},
	}
	unruled := map[string]bool{}
	for _, s := range sources(t) {
		folder := s.folder()
		if !within(folder, "plugin") || within(folder, "plugin/agent") || s.test {
			continue // Tests also use the packages that make fixtures.
		}
		ruled := false
		for owner, allowed := range rules {
			if !within(folder, owner) {
				continue
			}
			ruled = true
			for _, imported := range s.imports {
				name, ours := strings.CutPrefix(imported, module+"/")
				if ours && name != folder && !importable(name, allowed) {
					t.Errorf("%s imports %s: of this module %s may import %q", s.path, imported, owner, allowed)
				}
			}
		}
		unruled[folder] = unruled[folder] || !ruled
	}
	for folder, missing := range unruled {
		if missing {
			t.Errorf("%s has no rule about its imports", folder)
		}
	}
}

func importable(name string, allowed []string) bool {
	for _, folder := range allowed {
		if name == folder || folder != "policy" && within(name, folder) {
			return true
		}
	}
	return false
}
