package explain_test

import (
	"testing"

	"github.com/countersign/countersign/integration/rig"
)

func TestExplain(t *testing.T) {
	l := newLab(t, rig.NewWorkshop(t))
	t.Run("every refusal is explained", l.refusals)
	t.Run("an explanation survives a restart", l.restarts)
	t.Run("all agree", l.agreement)
	t.Run("a requirement is audited", l.audits)
	t.Run("policies are previewed", l.preview)
	t.Run("policies change under running containers", l.drifts)
}
