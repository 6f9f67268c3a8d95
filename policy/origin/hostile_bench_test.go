package origin_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// victim is an image whose manifest is signed, and its layers are those of a volume.
var victim = origin.Node{
	Digest: digest.FromString("victim"), Config: digest.FromString("victim's config"), Chain: "sha256:layers",
}

// hostile are the images of tenants, by what they have in common with the victim. Each returns the i-th.
var hostile = map[string]func(i int) (stored string, nodes []origin.Node){
	"manifests": func(i int) (string, []origin.Node) {
		return fmt.Sprintf("aaa%d.example/x:v1", i), []origin.Node{{Digest: numbered("manifest", i), Config: victim.Config}}
	},
	"own-manifests": func(i int) (string, []origin.Node) {
		return fmt.Sprintf("example.com/app:a%d", i), []origin.Node{{Digest: numbered("own", i), Config: victim.Config}}
	},
	"indexes": func(i int) (string, []origin.Node) {
		return fmt.Sprintf("aaa%d.example/x:v1", i), []origin.Node{
			{Digest: numbered("index", i), Children: []digest.Digest{victim.Digest, numbered("absent", i)}},
		}
	},
	"names": func(i int) (string, []origin.Node) {
		return fmt.Sprintf("aaa%d.example/x:v1", i), []origin.Node{victim}
	},
	"layers": func(i int) (string, []origin.Node) {
		return fmt.Sprintf("aaa%d.example/x:v1", i), []origin.Node{
			{Digest: numbered("manifest", i), Config: numbered("config", i), Chain: victim.Chain},
		}
	},
	"strangers": func(i int) (string, []origin.Node) {
		return fmt.Sprintf("aaa%d.example/x:v1", i), []origin.Node{
			{Digest: numbered("manifest", i), Config: numbered("config", i), Chain: fmt.Sprint("sha256:", i)},
		}
	},
}

func numbered(what string, i int) digest.Digest { return digest.FromString(fmt.Sprint(what, " ", i)) }

// besieged is a node with hostile images, and what decides there.
func besieged(tb testing.TB, shape string, count int) (*origin.Containerd, *policy.Decider) {
	tb.Helper()
	o := origin.New(nil, kubernetes, slog.New(slog.DiscardHandler))
	tb.Cleanup(func() { must(tb, o.Close()) })
	o.Follow()
	for i := range count {
		stored, nodes := hostile[shape](i)
		o.Learn(stored, nodes...)
	}
	o.Learn("example.com/app:v1", victim)
	signed := &policy.Requirement{ID: digest.FromString("signed"), Kind: policy.SignedBy, NeedsEvidence: true}
	reject := &policy.Requirement{ID: digest.FromString("reject"), Kind: policy.Reject}
	document := &policy.Document{
		Default: []*policy.Requirement{reject},
		Scopes:  map[string][]*policy.Requirement{"example.com/app": {signed}},
	}
	kinds := policy.Kinds{}
	for _, kind := range []policy.Kind{policy.SignedBy, policy.Reject} {
		kinds.AddJudge(kind, policy.Judge{Name: "judge", Func: func(
			_ context.Context, request policy.JudgeRequest,
		) policy.Finding {
			if request.Manifest.Digest == victim.Digest && kind == policy.SignedBy {
				return policy.Finding{Met: true}
			}
			return policy.Finding{Reason: policy.Rejected}
		}})
	}
	decider, err := policy.NewDecider(policy.Sources{
		Documents:   func() *policy.Set { return set(document) },
		Image:       o.Image,
		Lookup:      looked,
		Kinds:       kinds,
		Generations: []func() uint64{o.Generation},
	})
	must(tb, err)
	return o, decider
}

func set(document *policy.Document) *policy.Set {
	return &policy.Set{System: policy.Source{Document: document}}
}

// looked finds evidence of the victim, and none of others.
func looked(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
	found := make(policy.StoredEvidence, len(manifests))
	for i, m := range manifests {
		found[i] = policy.Evidence{Manifest: m.Digest, Generation: 1, State: policy.None}
		if m.Digest == victim.Digest {
			found[i].State = policy.Found
		}
	}
	return found
}

// questions are how the victim is asked for.
var questions = map[string]func(*origin.Containerd, *policy.Decider) policy.Verdict{
	"name": func(_ *origin.Containerd, d *policy.Decider) policy.Verdict {
		return d.Decide(context.Background(), policy.Question{
			Namespace: "prod", Reference: "example.com/app:v1", Config: victim.Config,
		})
	},
	"id": func(_ *origin.Containerd, d *policy.Decider) policy.Verdict {
		return d.Decide(context.Background(), policy.Question{
			Namespace: "prod", Reference: victim.Config.String(), Config: victim.Config,
		})
	},
	"volume": decideVolume,
}

// BenchmarkDecideAmongHostileImages decides about the victim while, before each decision, a tenant has one more image
// pulled and another removed. Bound: what it takes does not depend on how many there are.
func BenchmarkDecideAmongHostileImages(b *testing.B) {
	for _, shape := range []string{"manifests", "own-manifests", "indexes", "names", "layers", "strangers"} {
		for _, asked := range []string{"name", "id", "volume"} {
			for _, count := range []int{10, 1000, 10_000} {
				b.Run(fmt.Sprintf("%s/by=%s/%d", shape, asked, count), func(b *testing.B) {
					o, decider := besieged(b, shape, count)
					questions[asked](o, decider)
					var took []time.Duration
					admitted := 0
					for i := 0; b.Loop(); i++ {
						stored, nodes := hostile[shape](count + i)
						o.Learn(stored, nodes...)
						gone, _ := hostile[shape](i)
						o.Forget(gone)
						start := time.Now()
						verdict := questions[asked](o, decider)
						took = append(took, time.Since(start))
						if verdict.Admitted() {
							admitted++
						}
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
					b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
					b.ReportMetric(float64(admitted)/float64(len(took)), "admitted")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}
