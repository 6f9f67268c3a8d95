package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func (l *lab) signedIndexes(t *testing.T) {
	for name, test := range map[string]struct {
		repository string
		sign       func(t *testing.T, index, instance node.Pushed)
		decides    func(index, instance node.Pushed) []string // One of these digests is in the audit record.
	}{
		"the index": {
			"shop/index", func(t *testing.T, index, _ node.Pushed) { t.Helper(); l.sign(t, index, false) },
			func(index, _ node.Pushed) []string { return []string{index.Digest.String()} },
		},
		"the instance": {
			"shop/instance", func(t *testing.T, _, instance node.Pushed) { t.Helper(); l.sign(t, instance, false) },
			func(_, instance node.Pushed) []string { return []string{instance.Digest.String()} },
		},
		"both": {
			"shop/both", func(t *testing.T, index, _ node.Pushed) { t.Helper(); l.sign(t, index, true) },
			func(index, instance node.Pushed) []string {
				return []string{index.Digest.String(), instance.Digest.String()}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			index, instance := l.Index(t, test.repository+":v1")
			test.sign(t, index, instance)
			decision := l.runs(t, strict, index)
			if want := test.decides(index, instance); !strings.Contains(strings.Join(want, " "), decision.Digest) {
				t.Errorf("the record has %s; want one of %s", decision.Digest, want)
			}
		})
	}
	t.Run("neither", func(t *testing.T) {
		index, _ := l.Index(t, "shop/neither:v1")
		l.Refused(t, strict, index, "unsigned")
	})
}
