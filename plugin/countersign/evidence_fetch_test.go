package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/daemon"
)

func TestProgressOfAFetch(t *testing.T) {
	for name, test := range map[string]struct {
		terminal       bool
		stdout, stderr string
	}{
		"on a terminal": {
			true, "fetched evidence of 1 image; 1 failed; no policy requires a signature of 1\n",
			"\r\x1b[K1 of 3: a: 120 of 301 referrers read" + "\r\x1b[K1 of 3: a" +
				"\r\x1b[Kcountersign: b: down\n\r\x1b[K2 of 3: b" + "\r\x1b[K3 of 3: c" + "\r\x1b[K",
		},
		"not on a terminal": {
			false, "a: stored 2 signatures and 1 bundle of 1 manifest\n" +
				"c: not fetched: no policy requires a signature of it\n",
			"countersign: a: 120 of 301 referrers read\ncountersign: b: down\n",
		},
	} {
		var stdout, stderr bytes.Buffer
		progress := &fetchProgress{stdout: &stdout, stderr: &stderr, terminal: test.terminal}
		for _, report := range []daemon.FetchReport{
			{Reference: "a", Read: 120, Of: 301, Done: 1, Total: 3},
			{Reference: "a", Done: 1, Total: 3, Manifests: 1, Signatures: 2, Bundles: 1},
			{Reference: "b", Done: 2, Total: 3, Error: "down"},
			{Reference: "c\x1b", Done: 3, Total: 3, NotRequired: true},
		} {
			if err := progress.tell(report); err != nil {
				t.Fatal(err)
			}
		}
		progress.end()
		if diff := cmp.Diff(test.stdout, stdout.String()); diff != "" {
			t.Errorf("%s: on standard output (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.stderr, stderr.String()); diff != "" {
			t.Errorf("%s: on standard error (-want +got):\n%s", name, diff)
		}
		if progress.failed != 1 {
			t.Errorf("%s: %d failed", name, progress.failed)
		}
	}
	if isTerminal(&bytes.Buffer{}) {
		t.Error("a buffer counts as a terminal")
	}
}
