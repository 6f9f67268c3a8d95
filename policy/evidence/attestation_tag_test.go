package evidence_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

// envelope is an attestation of cosign's old format, about nothing that anybody could verify.
func envelope(predicate string, i int) []byte {
	payload := fmt.Appendf(nil, `{"predicateType":%q,"predicate":{"n":%d}}`, predicate, i)
	return fmt.Appendf(nil, `{"payloadType":"application/vnd.in-toto+json","payload":%q,"signatures":[{"sig":"c2ln"}]}`,
		base64.StdEncoding.EncodeToString(payload))
}

// attested is a layer under the tag of attestations. The predicate type is what its descriptor says.
type attested struct {
	content   []byte
	predicate string
	mediaType string
}

// attestOld puts attestations under the tag of cosign's old format.
func (p pusher) attestOld(of digest.Digest, all ...attested) {
	p.t.Helper()
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: p.pushBlob(p.t, ocispec.MediaTypeImageConfig, []byte("{}")),
	}
	for _, one := range all {
		mediaType := format.EnvelopeType
		if one.mediaType != "" {
			mediaType = one.mediaType
		}
		layer := p.pushBlob(p.t, mediaType, one.content)
		if one.predicate != "" {
			layer.Annotations = map[string]string{"predicateType": one.predicate}
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	p.push(strings.Replace(of.String(), ":", "-", 1)+".att", ocispec.MediaTypeImageManifest, manifest)
}

// numbers returns the numbers in stored attestations.
func numbers(t testing.TB, of policy.Evidence) (all []int) {
	t.Helper()
	files, err := store.ReadFiles(of)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range format.Contents(files, format.KindAttestation) {
		parsed, err := format.ParseBundle(raw)
		if err != nil {
			t.Fatal(err)
		}
		number := 0
		_, after, _ := strings.Cut(string(parsed.Payload), `"n":`)
		if _, err := fmt.Sscanf(after, "%d", &number); err != nil {
			t.Fatal(err)
		}
		all = append(all, number)
	}
	return all
}

func TestOldAttestationsAreFetched(t *testing.T) {
	large := strings.Repeat(" ", format.MaxAttestation+1)
	for name, test := range map[string]struct {
		needed []string
		all    []attested
		want   []int
		detail string
	}{
		"one": {[]string{attests}, []attested{{envelope(attests, 1), attests, ""}}, []int{1}, ""},
		"of a needed type": {
			[]string{attests}, []attested{{envelope(attests, 1), attests, ""}, {envelope(vex, 2), vex, ""}}, []int{1}, "",
		},
		"of a type that only the statement has": {
			[]string{attests}, []attested{{envelope(attests, 1), "", ""}, {envelope(vex, 2), "", ""}}, []int{1}, "",
		},
		"of another type than the descriptor says": {
			[]string{attests}, []attested{{envelope(vex, 1), attests, ""}}, nil, "",
		},
		"of every type": {
			[]string{"*"}, []attested{{envelope(attests, 1), attests, ""}, {envelope(vex, 2), vex, ""}}, []int{1, 2}, "",
		},
		"if nobody needs them":      {nil, []attested{{envelope(attests, 1), attests, ""}}, nil, ""},
		"but not what signs":        {[]string{attests}, []attested{{envelope(signs, 1), attests, ""}}, nil, ""},
		"but not a layer of a type": {[]string{attests}, []attested{{envelope(attests, 1), attests, "x/y"}}, nil, ""},
		"next to one that is none": {
			[]string{attests},
			[]attested{{[]byte("{}"), "", ""}, {envelope(attests, 2), "", ""}},
			[]int{2},
			"1 attestations were left out: layer sha256:",
		},
		"next to one that is too large": {
			[]string{attests},
			[]attested{{[]byte(large), "", ""}, {envelope(attests, 2), "", ""}},
			[]int{2},
			"an attestation has at most 2097152",
		},
		"if none can be read": {
			[]string{attests}, []attested{{[]byte("{}"), "", ""}}, nil, "none of its 1 attestations can be read",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := pusher{testRegistry: newRegistry(t), t: t}
			m := manifestOf("image")
			p.attestOld(m, test.all...)
			_ = p.asked()
			got := fetched(t, open(t, needing(&test.needed)), p.named(t, "app"), m)
			if !slices.Equal(numbers(t, got), test.want) || !strings.Contains(got.Detail, test.detail) ||
				(got.Detail == "") != (test.detail == "") {
				t.Errorf("attestations %v: %+v", numbers(t, got), got)
			}
			asked := slices.ContainsFunc(p.asked(), func(path string) bool { return strings.HasSuffix(path, ".att") })
			if asked != (len(test.needed) > 0) {
				t.Errorf("the tag was asked for: %t: %q", asked, p.asked())
			}
		})
	}
}

// TestOfManyOldAttestationsTheNewestCount, within the limits of number and size, and signatures have their room.
func TestOfManyOldAttestationsTheNewestCount(t *testing.T) {
	p := pusher{testRegistry: newRegistry(t), t: t}
	m := manifestOf("image")
	var all []attested
	for i := range format.MaxFiles + 3 {
		all = append(all, attested{envelope(attests, i), attests, ""})
	}
	p.attestOld(m, all...)
	p.sign(t, "app", m, signed(1))
	needed := []string{attests}
	got := fetched(t, open(t, needing(&needed)), p.named(t, "app"), m)
	if got.Signatures != 1 || got.Attestations != format.MaxFiles || numbers(t, got)[0] != 3 ||
		!strings.Contains(got.Detail, "3 attestations were left out") {
		t.Errorf("%+v", got)
	}
	megabyte := func(i int) []byte {
		padded := strings.Replace(string(envelope(attests, i)), "{", `{"padding":"`+strings.Repeat("x", 1<<20)+`",`, 1)
		return []byte(padded)
	}
	large := manifestOf("large")
	all = nil
	for i := range 40 {
		all = append(all, attested{megabyte(i), attests, ""})
	}
	p.attestOld(large, all...)
	// The envelopes are large, and what is stored of them is not.
	if got := fetched(t, open(t, needing(&needed)), p.named(t, "app"), large); got.Attestations != 40 {
		t.Errorf("%+v", got)
	}
}

// TestBothFormsOfAttestationsCount, and one that is added to the tag is fetched.
func TestBothFormsOfAttestationsCount(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		p.list(m, p.attach(m, referrer{content: statement(attests, 1), predicate: attests}))
		p.attestOld(m, attested{envelope(attests, 2), attests, ""})
		needed := []string{attests}
		keeper, named := open(p.t, needing(&needed)), p.named(p.t, "app")
		if got := numbers(p.t, fetched(p.t, keeper, named, m)); len(got) != 2 {
			p.t.Fatalf("%v", got)
		}
		p.attestOld(m, attested{envelope(attests, 2), attests, ""}, attested{envelope(attests, 3), attests, ""})
		if got := numbers(p.t, fetched(p.t, keeper, named, m)); len(got) != 3 {
			p.t.Errorf("%v", got)
		}
	})
}

// TestAFailureIsNoAnswerAboutOldAttestations.
func TestAFailureIsNoAnswerAboutOldAttestations(t *testing.T) {
	p := pusher{testRegistry: newRegistry(t), t: t}
	m := manifestOf("image")
	p.attestOld(m, attested{envelope(attests, 1), attests, ""})
	p.spoilBy(func(handler http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".att") {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			handler.ServeHTTP(w, r)
		})
	})
	needed := []string{attests}
	keeper := open(t, needing(&needed))
	_ = keeper.Fetch(t.Context(), m, p.named(t, "app"))
	if got := lookup(keeper, p.named(t, "app"), m); got.State != policy.Failed {
		t.Errorf("%+v", got)
	}
}

// TestAttestationsElsewhereAreFetched, in both forms, from the repository that the operator names.
func TestAttestationsElsewhereAreFetched(t *testing.T) {
	eachWay(t, func(p pusher) {
		image := p.image(nil, "image")
		p.list(image.Digest, p.attach(image.Digest, referrer{content: statement(attests, 1), predicate: attests}))
		p.attestOld(image.Digest, attested{envelope(attests, 2), attests, ""})
		needed := []string{attests}
		shop := parse(p.t, p.host+"/team/shop")
		for named, want := range map[string]int{"/team": 2, "/other": 0} {
			config := needing(&needed)
			config.Fetcher = fetch.New(fetch.Config{Repositories: map[string]string{p.host + named: p.host + "/app"}})
			if got := fetched(p.t, open(p.t, config), shop, image.Digest); got.Attestations != want {
				p.t.Errorf("with a map of %s: %+v", named, got)
			}
		}
	})
}
