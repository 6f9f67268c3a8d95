package signature_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// comparison counts images that were allowed and denied, by countersign and containers/image alike.
type comparison struct {
	parser          *signature.Parser
	judge           *signature.Judge
	allowed, denied int
}

func newComparison() *comparison {
	return &comparison{parser: signature.NewParser(signature.Kinds(nil)), judge: signature.NewJudge()}
}

// enough fails if there was too little to compare.
func (c *comparison) enough(t *testing.T, allowed, denied int) {
	t.Helper()
	if c.allowed < allowed || c.denied < denied {
		t.Errorf("only %d were allowed and %d denied: there is nothing to compare", c.allowed, c.denied)
	}
}

// ask evaluates a whole document with containers/image, and the scope and each of its requirements with this package.
func (c *comparison) ask(t *testing.T, document, ref string, s sample) (allowed bool) {
	t.Helper()
	theirs := bare(t.Context(), containersPolicy(t, document), named(t, ref), s)
	ours, err := c.parser.Parse([]byte(document), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	_, requirements := ours.Select(named(t, ref))
	finding := judgeAll(t, c.judge, requirements, named(t, ref), s)
	if finding.Met != (theirs == nil) {
		t.Errorf("%s under %s: containers/image: %v; ours: %s: %s", ref, document, theirs, reason(finding), finding.Detail)
	}
	if finding.Met {
		c.allowed++
	} else {
		c.denied++
	}
	return finding.Met
}

// TestScopesAreSelectedAlike: for each reference, each scope alone, and each pair of contradicting scopes.
func TestScopesAreSelectedAlike(t *testing.T) {
	raw := signaturetest.Manifest("scopes")
	unsigned := newSample(t, raw)
	pinned := "@" + digest.FromBytes(raw).String()
	references := []string{
		"busybox", "busybox:1.36", "docker.io/busybox", "docker.io/library/busybox" + pinned, "user/app:v1",
		"index.docker.io/library/busybox", "registry-1.docker.io/library/busybox",
		"example.com/a/b/c:v1", "example.com:5000/a:v1", "a.b.example.com/x", "a.b.example.com:5000/x" + pinned,
		"localhost/x", "localhost:5000/x/y", "192.168.0.1:5000/x", "UPPER.example.com/x",
	}
	scopes := []string{
		"", "busybox", "library/busybox", "docker.io", "docker.io/library", "docker.io/library/busybox",
		"docker.io/library/busybox:latest", "docker.io/library/busybox:1.36", "docker.io/library/busybox" + pinned,
		"docker.io/user", "*.docker.io", "*.io", "*", "*.", "*.*", "index.docker.io", "registry-1.docker.io",
		"example.com", "example.com:5000", "example.com/a", "example.com/a/b/c", "example.com/a/b/c:v1", "example.com/a/b/",
		"*.com", "*.example.com", "*.b.example.com", "*.example.com:5000", "*.example.com/x", "a.b.example.com",
		"a.b.example.com:5000", "a.b.example.com:5000/x", "a.b.example.com:5000/x" + pinned, "localhost", "localhost:5000",
		"localhost:5000/x", "*.localhost", "192.168.0.1:5000", "*.168.0.1", "*.0.1:5000", "*.1", "upper.example.com",
		"UPPER.example.com",
	}
	comparison := newComparison()
	for _, ref := range references {
		t.Run(ref, func(t *testing.T) {
			for _, document := range contradictions(scopes) {
				comparison.ask(t, document, ref, unsigned)
			}
		})
	}
	comparison.enough(t, 1000, 1000)
}

// contradictions are documents that accept in one scope and reject in another, if there is one.
func contradictions(scopes []string) []string {
	var documents []string
	for i, scope := range scopes {
		for _, other := range scopes[i:] {
			document := transports + fmt.Sprintf(`{"docker":{%s:%s`, data(scope), acceptList)
			if other != scope {
				document += fmt.Sprintf(`,%s:%s`, data(other), rejectList)
			}
			documents = append(documents, document+"}}}")
		}
	}
	return documents
}

// parties are the signers in the comparison of verdicts.
type parties struct {
	requirements map[string]string
	images       map[string]sample
}

const (
	signedHost = "registry.example:5000"
	signedName = signedHost + "/team/app"
)

// newParties creates unsigned images, images signed with the right key under several names, and images signed by
// others.
func newParties(t *testing.T) parties {
	t.Helper()
	right, other, gpg := signaturetest.NewKey(t), signaturetest.NewKey(t), newGPGKey(t, nil)
	raw := signaturetest.Manifest("parties")
	pinned := digest.FromBytes(raw)
	good := func(name string) []byte { return signaturetest.Sign(t, right, name, pinned).File(t) }
	bad := func(name string) []byte { return signaturetest.Sign(t, other, name, pinned).File(t) }
	images := map[string]sample{
		"unsigned":               newSample(t, raw),
		"by another key":         newSample(t, raw, bad(signedName+":v1")),
		"by another and the key": newSample(t, raw, bad(signedName+":v1"), good(signedName+":v1")),
		"for another manifest": newSample(t, raw,
			signaturetest.Sign(t, right, signedName+":v1", digest.FromString("x")).File(t)),
		"by GPG":                 newSample(t, raw, gpgSigned(t, gpg, pinned)),
		"by GPG and another key": newSample(t, raw, bad(signedName), gpgSigned(t, gpg, pinned)),
		"by GPG and the key":     newSample(t, raw, gpgSigned(t, gpg, pinned), good(signedName+":v1")),
		"by the key and nonsense": newSample(t, raw,
			signaturetest.Signature{MediaType: "text/plain", Payload: []byte("x")}.File(t),
			signaturetest.Signature{MediaType: signaturetest.MediaType}.File(t),
			good(signedName+":v1")),
	}
	for _, name := range []string{
		signedName, signedName + ":v1", signedName + ":v2", signedName + "@" + pinned.String(),
		signedName + ":v1@" + pinned.String(), "upstream.example/team/app:v1", "app:v1", "docker.io/library/app:v1",
		"", "NO NAME",
	} {
		images["by the key as "+name] = newSample(t, raw, good(name))
	}
	keys := map[string]string{
		"key": `"type":"sigstoreSigned","keyData":` + data(signaturetest.PublicPEM(t, right.Public())),
		"keys": `"type":"sigstoreSigned","keyDatas":` + data([][]byte{
			signaturetest.PublicPEM(t, other.Public()), signaturetest.PublicPEM(t, right.Public()),
		}),
		"no key":  `"type":"sigstoreSigned","keyData":"YWJj"`,
		"GPG":     `"type":"signedBy","keyType":"GPGKeys","keyData":` + data(keyring(t, gpg)),
		"no GPG":  `"type":"signedBy","keyType":"GPGKeys","keyData":"YWJj"`,
		"not GPG": `"type":"signedBy","keyType":"signedByGPGKeys","keyData":` + data(keyring(t, gpg)),
	}
	requirements := map[string]string{
		"accept": `{"type":"insecureAcceptAnything"}`,
		"reject": `{"type":"reject"}`,
	}
	for name, key := range keys {
		for matcher, identity := range matchers(pinned) {
			requirements[name+" "+matcher] = signed(key, identity)
		}
	}
	return parties{requirements, images}
}

// matchers are the six kinds of signedIdentity.
func matchers(pinned digest.Digest) map[string]string {
	return map[string]string{
		"default":                "",
		"matchExact":             `{"type":"matchExact"}`,
		"matchRepoDigestOrExact": `{"type":"matchRepoDigestOrExact"}`,
		"matchRepository":        `{"type":"matchRepository"}`,
		"exactReference":         `{"type":"exactReference","dockerReference":"` + signedName + `:v1"}`,
		"exactReference by digest": `{"type":"exactReference","dockerReference":"` + signedName + "@" +
			pinned.String() + `"}`,
		"exactReference, short":  `{"type":"exactReference","dockerReference":"app:v1"}`,
		"exactRepository":        `{"type":"exactRepository","dockerRepository":"` + signedName + `"}`,
		"exactRepository, short": `{"type":"exactRepository","dockerRepository":"app"}`,
		"remapIdentity":          `{"type":"remapIdentity","prefix":"mirror.example","signedPrefix":"` + signedHost + `"}`,
		"remapIdentity of a team": `{"type":"remapIdentity","prefix":"` + signedHost +
			`/team","signedPrefix":"upstream.example/team"}`,
	}
}

// TestVerdictsAreAlike compares complete decisions: each requirement alone and in pairs, for each image and name.
func TestVerdictsAreAlike(t *testing.T) {
	p := newParties(t)
	pinned := p.images["unsigned"].manifest.Digest.String()
	references := []string{
		signedName + ":v1", signedName + ":v2", signedName + "@" + pinned, signedHost + "/team/other:v1",
		"mirror.example/team/app:v1", "mirror.example/team/app@" + pinned, "app:v1",
	}
	comparison := newComparison()
	for _, name := range slices.Sorted(maps.Keys(p.images)) {
		t.Run(name, func(t *testing.T) {
			for _, requirement := range p.requirements {
				for _, ref := range references {
					comparison.ask(t, list(requirement), ref, p.images[name])
				}
			}
		})
	}
	comparison.enough(t, 100, 1000)
}

// TestListsAreANDed: all requirements of a list must be met, possibly by different signatures.
func TestListsAreANDed(t *testing.T) {
	p := newParties(t)
	names := []string{
		"accept", "reject", "key default", "keys matchRepository", "GPG matchExact",
		"GPG exactRepository", "no GPG default",
	}
	comparison := newComparison()
	var both bool
	for image, s := range p.images {
		for _, first := range names {
			for _, second := range names {
				allowed := comparison.ask(t, list(p.requirements[first]+","+p.requirements[second]), signedName+":v1", s)
				both = both || allowed && first == "key default" && second == "GPG matchExact" && image == "by GPG and the key"
			}
		}
	}
	if !both {
		t.Error("two requirements met by two signatures are not met together")
	}
}

// TestABaseLayerIsDenied is separate because containers/image logs an error each time.
func TestABaseLayerIsDenied(t *testing.T) {
	document := list(`{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}`)
	unsigned := newSample(t, signaturetest.Manifest("app"))
	if newComparison().ask(t, document, signedName+":v1", unsigned) {
		t.Error("signedBaseLayer is met")
	}
}

// TestOnlyImagesWithoutSignaturesAreUnsigned: the reader of such a finding will sign the image.
func TestOnlyImagesWithoutSignaturesAreUnsigned(t *testing.T) {
	p := newParties(t)
	requirement := parse(t, p.requirements["key default"])
	for name, s := range p.images {
		finding := judgeAll(t, signature.NewJudge(), requirement, named(t, signedName+":v1"), s)
		if (reason(finding) == policy.Unsigned) != (name == "unsigned") {
			t.Errorf("%s: %s: %s", name, reason(finding), finding.Detail)
		}
	}
}
