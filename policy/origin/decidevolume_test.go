package origin_test

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

func decideVolume(o *origin.Containerd, d *policy.Decider) policy.Verdict {
	return d.DecideVolume(context.Background(), "prod", policy.Volume{
		Layers: victim.Chain, Likely: func() []digest.Digest { return nil },
		All: func() []digest.Digest { return o.Configs(victim.Chain) },
	})
}
