package bundle_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	containersreference "go.podman.io/image/v5/docker/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// comparison signs the same names in both formats with one key, and evaluates the old format with containers/image.
type comparison struct {
	key    *bundletest.Key
	parser *signature.Parser
	ours   *bundle.Judge
	theirs *signature.Judge
	signed map[string]sample
	// home is the test that owns the signatures.
	home testing.TB
	// accepted and refused count the results of both.
	accepted, refused int
}

func newComparison(t testing.TB) *comparison {
	t.Helper()
	return &comparison{
		key: bundletest.NewKey(t), parser: signature.NewParser(signature.Kinds(nil)),
		ours: bundle.NewJudge(), theirs: signature.NewJudge(),
		signed: make(map[string]sample), home: t,
	}
}

// sign signs a name, which may be empty, as a bundle and in the old format.
func (c *comparison) sign(t testing.TB, name string) sample {
	t.Helper()
	if known, ok := c.signed[name]; ok {
		return known
	}
	statement := bundletest.NewStatement(subject, "")
	statement.Subject[0].Annotations = map[string]any{"docker-reference": name}
	app := newSample(c.home, manifest, bundletest.SignStatement(t, c.key, statement.JSON(t)).JSON(t))
	signaturetest.Write(t, filepath.Join(app.evidence.Directory, "signature-1"),
		signaturetest.Sign(t, c.key.Signer, name, subject).File(t))
	app.evidence.Signatures = 1
	c.signed[name] = app
	return app
}

// requirement returns a requirement with an identity, or nil if the identity is invalid.
func (c *comparison) requirement(t testing.TB, identity string) *policy.Requirement {
	t.Helper()
	members := map[string]any{"type": "sigstoreSigned", "keyData": c.key.PEM(t)}
	if identity != "" {
		members["signedIdentity"] = json.RawMessage(identity)
	}
	raw, err := json.Marshal(map[string]any{"default": []any{members}})
	if err != nil {
		return nil
	}
	document, err := c.parser.Parse(raw, func(string) ([]byte, error) { return nil, errors.New("no files here") })
	if err != nil {
		return nil
	}
	return document.Default[0]
}

// ask compares the two verdicts on an image with reference ref and a signature for a name.
func (c *comparison) ask(t testing.TB, requirement *policy.Requirement, name string, ref reference.Named) {
	t.Helper()
	app := c.sign(t, name)
	ours := c.ours.Judge(t.Context(), app.request(requirement, ref))
	theirs := c.theirs.Judge(t.Context(), app.request(requirement, ref))
	answers := []policy.Reason{policy.Accepted, policy.Rejected}
	if foreign(name) {
		// Such a name can only be refused.
		if theirs.Met || !slices.Contains(answers, reason(ours)) {
			t.Errorf("%s signed as %q: containers/image: %t; ours: %s: %s", ref, name, theirs.Met, ours.Reason, ours.Detail)
		}
		return
	}
	if reason(ours) != reason(theirs) || !slices.Contains(answers, reason(ours)) {
		t.Errorf("%s signed as %q under %s: containers/image: %t %s; ours: %t %s: %s", ref, name, requirement.JSON,
			theirs.Met, theirs.Detail, ours.Met, ours.Reason, ours.Detail)
	}
	if ours.Met {
		c.accepted++
	} else {
		c.refused++
	}
}

// foreign reports whether a name is a reference that containers/image cannot parse: its grammar has no IPv6 addresses,
// no upper-case hosts without a dot, and includes the host in the length of a name.
func foreign(name string) bool {
	_, err := reference.ParseNormalizedNamed(name)
	_, theirs := containersreference.ParseNormalizedNamed(name)
	return err == nil && theirs != nil
}

// TestARegistryMayHaveAnyHost that containerd accepts; containers/image refuses all of these.
func TestARegistryMayHaveAnyHost(t *testing.T) {
	comparison := newComparison(t)
	for name, test := range map[string]struct {
		ref, signed, identity string
		want                  policy.Reason
	}{
		"an address":                {"[::1]:5000/app:v1", "[::1]:5000/app:v1", "matchExact", policy.Accepted},
		"an address without a port": {"[2001:db8::1]/app:v1", "[2001:db8::1]/app:v1", "matchExact", policy.Accepted},
		"another address":           {"[::1]:5000/app:v1", "[::2]:5000/app:v1", "matchRepository", policy.Rejected},
		"another port":              {"[::1]:5000/app:v1", "[::1]:5001/app:v1", "matchRepository", policy.Rejected},
		"another tag":               {"[::1]:5000/app:v1", "[::1]:5000/app:v2", "matchExact", policy.Rejected},
		"another tag will do":       {"[::1]:5000/app:v1", "[::1]:5000/app:v2", "matchRepository", policy.Accepted},
		"by digest": {
			"[::1]:5000/app@" + subject.String(), "[::1]:5000/app:v2", "matchRepoDigestOrExact", policy.Accepted,
		},
		"a host in capitals":         {"Registry/app:v1", "Registry/app:v1", "matchExact", policy.Accepted},
		"of other capitals":          {"Registry/app:v1", "REGISTRY/app:v1", "matchRepository", policy.Rejected},
		"signed for the Hub instead": {"[::1]:5000/app:v1", "app:v1", "matchRepository", policy.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			requirement := comparison.requirement(t, data(map[string]string{"type": test.identity}))
			app, ref := comparison.sign(t, test.signed), named(t, test.ref)
			ours := comparison.ours.Judge(t.Context(), app.request(requirement, ref))
			theirs := comparison.theirs.Judge(t.Context(), app.request(requirement, ref))
			if reason(ours) != test.want || reason(theirs) != policy.Rejected {
				t.Errorf("a bundle: %s %s; the old format: %s %s", reason(ours), ours.Detail, reason(theirs), theirs.Detail)
			}
			if grammar := strings.Contains(theirs.Detail, "cannot parse the name"); !grammar {
				t.Errorf("the old format does not say why: %s", theirs.Detail)
			}
		})
	}
}

// TestIdentitiesAreMatchedAlike compares, for each of the six kinds of signedIdentity, which signed names are accepted
// for which references.
func TestIdentitiesAreMatchedAlike(t *testing.T) {
	other := digest.FromString("other").String()
	pinned := "@" + subject.String()
	names := []string{
		repository, tagged, repository + ":v2", repository + pinned, tagged + pinned, repository + "@" + other,
		"registry.example/team/other:v1", "registry.example/team:v1", "registry.example:5000/team/app:v1",
		"upstream.example/team/app:v1", "upstream.example/app:v1", "registry.example/team/app/sub:v1",
		"app", "app:v1", "library/app:v1", "docker.io/app:v1", "docker.io/library/app:v1", "index.docker.io/library/app:v1",
		"docker.io/library/app" + pinned, "team/app:v1", "localhost/app:v1", "LOCALHOST/app:v1", "a.io/Team/app:v1",
		"", " ", "NO NAME", tagged + " ", " " + tagged, "https://" + tagged, tagged + "@sha256:ab", repository + ":", "@",
		repository + "@", "[::1]/app:v1", "[::1]:5000/app:v1", "a--b/app:v1", "registry.example/a__b:v1", "aa/b:v1", "A/b:v1",
		strings.Repeat("a", 300), "registry.example/" + strings.Repeat("a", 239) + ":v1",
		strings.Repeat("0123456789abcdef", 4),
	}
	references := []string{
		tagged, repository + ":v2", repository + pinned, "registry.example:5000/team/app:v1", "app:v1", "app" + pinned,
		"registry.example/team/app/sub:v1", "upstream.example/team/app:v1", "localhost/app:v1", "A/b:v1",
		"registry.example/" + strings.Repeat("a", 239) + ":v1", "registry.example/teammate/app:v1",
	}
	comparison := newComparison(t)
	for name, identity := range identities() {
		t.Run(name, func(t *testing.T) {
			requirement := comparison.requirement(t, identity)
			if requirement == nil {
				t.Fatalf("%s is no identity", identity)
			}
			for _, ref := range references {
				for _, name := range names {
					comparison.ask(t, requirement, name, named(t, ref))
				}
			}
		})
	}
	if comparison.accepted < 200 || comparison.refused < 2000 {
		t.Errorf("%d were accepted and %d refused: there is little to compare", comparison.accepted, comparison.refused)
	}
}

// identities are of each kind, and several of each kind that has parameters.
func identities() map[string]string {
	exact := func(kind, member, value string) string {
		return data(map[string]string{"type": kind, member: value})
	}
	remap := func(prefix, signed string) string {
		return data(map[string]string{"type": "remapIdentity", "prefix": prefix, "signedPrefix": signed})
	}
	all := map[string]string{"default": ""}
	for _, kind := range []string{"matchExact", "matchRepoDigestOrExact", "matchRepository"} {
		all[kind] = data(map[string]string{"type": kind})
	}
	for _, value := range []string{tagged, repository + "@" + subject.String(), "app:v1", "index.docker.io/app:v1"} {
		all["exactReference "+value] = exact("exactReference", "dockerReference", value)
	}
	for _, value := range []string{repository, tagged, "app", "docker.io/library/app"} {
		all["exactRepository "+value] = exact("exactRepository", "dockerRepository", value)
	}
	for _, prefixes := range [][2]string{
		{"registry.example", "upstream.example"},
		{"registry.example/team", "upstream.example"},
		{"registry.example/team", "upstream.example/team"},
		{"registry.example/team/app", "docker.io/library/app"},
		{"registry.example/tea", "upstream.example"},
		{"registry.example", "docker.io"},
		{"docker.io/library", "registry.example/team"},
		{"docker.io", "index.docker.io"},
		{"registry.example/team/app/sub", "registry.example/team/app"},
		{"app", "registry.example/team/app"},
		{"v1", "v2"},
	} {
		all["remapIdentity "+prefixes[0]+" "+prefixes[1]] = remap(prefixes[0], prefixes[1])
	}
	return all
}

// words are the parts of references.
func words() map[string][]string {
	return map[string][]string{
		"host": {"", "docker.io/", "index.docker.io/", "a.io/", "a.io:5000/", "b.io/", "localhost/", "localhost:5000/", "A/"},
		"path": {"x", "x/y", "library/x", "x/y/z", "xx/y", "x-y", "x__y", "x/Y"},
		"tag":  {"", ":1", ":2", ":latest", "@" + subject.String(), ":1@" + subject.String()},
	}
}

// TestRandomIdentitiesAreMatchedAlike does the same with names, references and identities of few words, so that they
// often have parts in common.
func TestRandomIdentitiesAreMatchedAlike(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(kind string) string {
		choice := words()[kind]
		return choice[random.IntN(len(choice))]
	}
	name := func() string { return word("host") + word("path") + word("tag") }
	prefix := func() string {
		if random.IntN(2) == 0 {
			return strings.TrimSuffix(word("host"), "/")
		}
		return word("host") + word("path")
	}
	comparison := newComparison(t)
	for comparison.accepted+comparison.refused < 4000 {
		identity := [...]string{
			"", `{"type":"matchExact"}`, `{"type":"matchRepository"}`,
			data(map[string]string{"type": "exactReference", "dockerReference": name()}),
			data(map[string]string{"type": "exactRepository", "dockerRepository": name()}),
			data(map[string]string{"type": "remapIdentity", "prefix": prefix(), "signedPrefix": prefix()}),
		}[random.IntN(6)]
		requirement := comparison.requirement(t, identity)
		ref, err := policy.Normalize(name())
		if requirement == nil || err != nil {
			continue
		}
		for range 5 {
			comparison.ask(t, requirement, name(), ref)
			comparison.ask(t, requirement, ref.Name()+word("tag"), ref)
		}
	}
	if comparison.accepted < 300 {
		t.Errorf("only %d were accepted: there is little to compare", comparison.accepted)
	}
}

// FuzzIdentity compares the two for any text.
func FuzzIdentity(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(identities())) {
		f.Add(identities()[name], tagged, tagged)
		f.Add(identities()[name], "app@"+subject.String(), "docker.io/library/app:v1")
	}
	comparison := newComparison(f)
	f.Fuzz(func(t *testing.T, identity, name, ref string) {
		clear(comparison.signed)
		comparison.home = t
		requirement := comparison.requirement(t, identity)
		parsed, err := policy.Normalize(ref)
		if requirement == nil || err != nil {
			t.Skip()
		}
		comparison.ask(t, requirement, name, parsed)
	})
}
