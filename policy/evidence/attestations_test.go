package evidence_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

const vex = "https://openvex.dev/ns"

// needing returns the configuration of a Keeper for documents that need attestations of these types.
func needing(types *[]string) evidence.Config {
	return evidence.Config{Predicates: func(reference.Named) policy.Predicates { return policy.NewPredicates(*types...) }}
}

func TestOnlyNeededAttestationsAreFetched(t *testing.T) {
	for name, test := range map[string]struct {
		needed       []string
		attestations int
	}{
		"none":             {nil, 0},
		"one type":         {[]string{attests}, 2},
		"two types":        {[]string{attests, vex}, 3},
		"another type":     {[]string{"https://spdx.dev/Document"}, 0},
		"every type":       {[]string{"*"}, 3},
		"type of a prefix": {[]string{"https://slsa.dev/provenance"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(p pusher) {
				m := manifestOf("image")
				p.list(m,
					p.attach(m, referrer{content: statement(attests, 1), predicate: attests}),
					p.attach(m, referrer{content: statement(signs, 2), predicate: signs}),
					// Some registries list no annotations.
					p.attach(m, referrer{content: statement(attests, 3)}),
					p.attach(m, referrer{content: statement(vex, 4), predicate: vex}),
				)
				got := fetched(p.t, open(p.t, needing(&test.needed)), p.named(p.t, "app"), m)
				if got.State != policy.Found || got.Bundles != 1 || got.Attestations != test.attestations || got.Detail != "" {
					p.t.Fatalf("%+v", got)
				}
				if got.Predicates != policy.NewPredicates(test.needed...) {
					p.t.Errorf("predicates %q", got.Predicates)
				}
				files, err := store.ReadFiles(got)
				if err != nil || format.Count(files, format.KindAttestation) != test.attestations {
					p.t.Errorf("%d files: %v", len(files), err)
				}
			})
		})
	}
}

// TestANewNeedIsFetched although the registry has nothing new, and what was skipped before is read.
func TestANewNeedIsFetched(t *testing.T) {
	for name, what := range map[string][]referrer{
		"next to a signature":   {{content: statement(attests, 1)}, {content: statement(signs, 2), predicate: signs}},
		"alone":                 {{content: statement(attests, 1), predicate: attests}},
		"alone, without a name": {{content: statement(attests, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(p pusher) {
				m := manifestOf("image")
				var all []ocispec.Descriptor
				for _, one := range what {
					all = append(all, p.attach(m, one))
				}
				p.list(m, all...)
				var needed []string
				keeper, named := open(p.t, needing(&needed)), p.named(p.t, "app")
				before := fetched(p.t, keeper, named, m)
				if before.Attestations != 0 || before.Predicates.Contains(attests) {
					p.t.Fatalf("%+v", before)
				}
				needed = []string{attests}
				after := fetched(p.t, keeper, named, m)
				if after.Attestations != 1 || !after.Predicates.Contains(attests) || after.Generation == before.Generation {
					p.t.Fatalf("%+v", after)
				}
				// No longer needed, they are no longer stored.
				needed = nil
				if last := fetched(p.t, keeper, named, m); last.Bundles != before.Bundles {
					p.t.Errorf("%+v", last)
				}
			})
		})
	}
}

// TestALookupFetchesWhatADocumentNeedsNow without a decision that asks for it.
func TestALookupFetchesWhatADocumentNeedsNow(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		p.list(m, p.attach(m, referrer{content: statement(attests, 1), predicate: attests}))
		needed := []string{attests}
		directory := p.t.TempDir()
		config := needing(&needed)
		config.Directory = directory
		func() {
			var none []string
			before := needing(&none)
			before.Directory = directory
			keeper := open(p.t, before)
			defer keeper.Close()
			if got := fetched(p.t, keeper, p.named(p.t, "app"), m); got.State != policy.None {
				p.t.Fatalf("%+v", got)
			}
		}()
		keeper := open(p.t, config)
		_ = lookup(keeper, p.named(p.t, "app"), m)
		if err := keeper.Fetch(p.t.Context(), m, p.named(p.t, "app")); err != nil {
			p.t.Fatal(err)
		}
		if got := lookup(keeper, p.named(p.t, "app"), m); got.Attestations != 1 {
			p.t.Errorf("%+v", got)
		}
	})
}

// TestAttestationsTakeNoRoomFromSignatures, nor time: signatures are read first.
func TestAttestationsTakeNoRoomFromSignatures(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		listed := []ocispec.Descriptor{p.attach(m, referrer{content: statement(signs, 0), predicate: signs})}
		for i := range 70 {
			listed = append(listed, p.attach(m, referrer{content: large(i), predicate: attests}))
		}
		p.list(m, listed...)
		needed := []string{attests}
		got := fetched(p.t, open(p.t, needing(&needed)), p.named(p.t, "app"), m)
		if got.State != policy.Found || got.Bundles != 1 {
			p.t.Fatalf("%+v", got)
		}
		if got.Attestations < 20 || got.Attestations > format.MaxFiles || !got.Partial {
			p.t.Errorf("%+v", got)
		}
	})
}

// large is an attestation with a predicate of a mebibyte.
func large(i int) []byte {
	return []byte(strings.Replace(string(statement(attests, i)), `"dsseEnvelope"`,
		fmt.Sprintf(`"padding":%q,"dsseEnvelope"`, strings.Repeat("x", 4<<20/3)), 1))
}

func TestAnAttestationHasALimit(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		huge := strings.Replace(string(statement(attests, 1)), `"dsseEnvelope"`,
			fmt.Sprintf(`"padding":%q,"dsseEnvelope"`, strings.Repeat("x", format.MaxAttestation)), 1)
		// A signature has the limit of a signature.
		signature := strings.Replace(string(statement(signs, 1)), `"dsseEnvelope"`,
			fmt.Sprintf(`"padding":%q,"dsseEnvelope"`, strings.Repeat("x", format.MaxFile)), 1)
		p.list(m, p.attach(m, referrer{content: []byte(huge), predicate: attests}),
			p.attach(m, referrer{content: []byte(signature), predicate: signs}),
			p.attach(m, referrer{content: large(3), predicate: attests}))
		needed := []string{attests}
		got := fetched(p.t, open(p.t, needing(&needed)), p.named(p.t, "app"), m)
		if got.Attestations != 1 || got.Bundles != 0 || !strings.Contains(got.Detail, "2 bundles were left out") {
			p.t.Errorf("%+v", got)
		}
	})
}

// TestAFailureIsNotAnAnswerAboutAttestations.
func TestAFailureIsNotAnAnswerAboutAttestations(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		p.list(m, p.attach(m, referrer{content: statement(attests, 1), predicate: attests}))
		var needed []string
		keeper, named := open(p.t, needing(&needed)), p.named(p.t, "app")
		_ = fetched(p.t, keeper, named, m)
		needed = []string{attests}
		p.spoilBy(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		})
		if got := fetched(p.t, keeper, named, m); got.Predicates.Contains(attests) || got.Attestations != 0 {
			p.t.Errorf("%+v", got)
		}
	})
}

// TestAttestationsAreImported and exported with the rest, and survive a restart.
func TestAttestationsAreImported(t *testing.T) {
	directory := t.TempDir()
	item := format.Item{Manifest: digest.FromString("image"), Repository: "registry.example/app"}
	item.Add(format.KindBundle, statement(signs, 1))
	item.Add(format.KindAttestation, statement(attests, 2), statement(attests, 3))
	keeper := open(t, evidence.Config{Directory: directory})
	if added, err := keeper.Import(item); err != nil || added != 3 {
		t.Fatalf("%d were added: %v", added, err)
	}
	keeper.Close()
	got := evidence.Read(directory)(manifests(item.Manifest), parse(t, item.Repository))[0]
	if got.State != policy.Found || got.Bundles != 1 || got.Attestations != 2 {
		t.Fatalf("%+v", got)
	}
	raw, err := os.ReadFile(filepath.Join(got.Directory, "attestation-2.json"))
	if err != nil || string(raw) != string(statement(attests, 3)) {
		t.Errorf("%s: %v", raw, err)
	}
	item.Files = nil
	item.Add(format.KindAttestation, statement(signs, 1))
	if _, _, err := item.Checked(); err == nil {
		t.Error("a signature is imported as an attestation")
	}
}
