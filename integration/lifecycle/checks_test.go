package lifecycle_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func checks(t *testing.T, w *workshop) {
	l := w.newLab(t, node.DaemonConfig{})
	l.start(t)
	t.Run("a signature is pushed after the refusal", func(t *testing.T) {
		lateSignature(t, l)
	})
}
