package signature_test

import (
	"crypto"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	containers "go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/trustedroot/trustedroottest"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

const (
	somebody = `"oidcIssuer":"https://issuer.example","subjectEmail":"a@b.example"`
	someRoot = `"trustedRootPath":"testdata/root.json"`
)

// rootRequirement returns a requirement with these members.
func rootRequirement(members string) string { return `{"type":"sigstoreSigned",` + members + `}` }

// rootFile returns a trusted root with one authority, one log and one timestamp authority.
func rootFile(t testing.TB, s *signaturetest.Sigstore, stamper *trustedroottest.Stamper) trustedroottest.File {
	t.Helper()
	around := trustedroottest.Around()
	return trustedroottest.NewFile().
		Authority(around, s.Intermediate.Certificate, s.Root.Certificate).
		Log(t, around, "https://log.example", s.Log.Public()).
		Stamper(around, stamper.Leaf, stamper.Root)
}

func TestRequirementsWithATrustedRootLoad(t *testing.T) {
	s := signaturetest.NewSigstore(t)
	file := rootFile(t, s, trustedroottest.NewStamper(t, trustedroottest.Around())).JSON(t)
	data := `"trustedRootData":"` + base64.StdEncoding.EncodeToString(file) + `"`
	key := `"keyData":"` + base64.StdEncoding.EncodeToString(signaturetest.PublicPEM(t, s.Log.Public())) + `"`
	read := func(path string) ([]byte, error) {
		if path != "testdata/root.json" {
			return nil, errors.New("no such file")
		}
		return file, nil
	}
	for name, test := range map[string]struct {
		members    string
		extensions []string
		files      []string
	}{
		"a path": {
			someRoot + `,"fulcio":{` + somebody + `}`, []string{"trustedRootPath"}, []string{"testdata/root.json"},
		},
		"data":             {data + `,"fulcio":{` + somebody + `}`, []string{"trustedRootData"}, nil},
		"a key":            {someRoot + `,` + key, []string{"trustedRootPath"}, []string{"testdata/root.json"}},
		"a log":            {data + `,"tlog":"required",` + key, []string{"trustedRootData", "tlog"}, nil},
		"no log":           {`"tlog":"none",` + data + `,` + key, []string{"tlog", "trustedRootData"}, nil},
		"an escaped field": {`"\u0074log":"none",` + data + `,` + key, []string{"tlog", "trustedRootData"}, nil},
		"a workflow": {data + `,"fulcio":{"oidcIssuer":"https://issuer.example",` + workflowURI + `}`, []string{
			"trustedRootData", "fulcio.subjectURI",
		}, nil},
		"an identity of the image": {
			data + `,` + key + `,"signedIdentity":{"type":"matchRepository"}`, []string{"trustedRootData"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			document := list(rootRequirement(test.members))
			if _, err := containers.NewPolicyFromBytes([]byte(document)); err == nil {
				t.Error("containers/image loads it: it may mean something else there")
			}
			parsed, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(document), read)
			if err != nil {
				t.Fatal(err)
			}
			requirement := parsed.Default[0]
			if requirement.Problem != "" || !slices.Equal(requirement.Extensions, test.extensions) ||
				!slices.Equal(parsed.KeyFiles, test.files) {
				t.Errorf("%s, %q, %q", requirement.Problem, requirement.Extensions, parsed.KeyFiles)
			}
			if strings.Contains(string(requirement.JSON), "Path") {
				t.Errorf("a path remains: %s", requirement.JSON)
			}
		})
	}
}

func TestRequirementsWithATrustedRootAreStrict(t *testing.T) {
	const fulcio, key = `,"fulcio":{` + somebody + `}`, `,"keyPath":"/key"`
	for name, test := range map[string]struct{ members, want string }{
		"twice":           {someRoot + `,` + someRoot + fulcio, `duplicate key "trustedRootPath"`},
		"a path and data": {someRoot + `,"trustedRootData":"YQ=="` + fulcio, "both trustedRootPath and trustedRootData"},
		"an empty path":   {`"trustedRootPath":""` + fulcio, `"trustedRootPath": it is empty`},
		"null":            {`"trustedRootPath":null` + fulcio, "is a null and must be a string"},
		"an object":       {`"trustedRootData":{}` + fulcio, "is an object and must be a string"},
		"data, no base64": {`"trustedRootData":"!"` + fulcio, "it is not base64"},
		"in capitals":     {`"TrustedRootPath":"/root"` + fulcio, "TrustedRootPath"},
		"tlog of another kind": {
			someRoot + `,"tlog":"optional"` + fulcio, `it is "optional" and must be "required" or "none"`,
		},
		"tlog in capitals":    {someRoot + `,"tlog":"None"` + fulcio, `it is "None"`},
		"tlog, a boolean":     {someRoot + `,"tlog":false` + fulcio, "is a boolean and must be a string"},
		"tlog, empty":         {someRoot + `,"tlog":""` + fulcio, "it is empty"},
		"tlog twice":          {someRoot + `,"tlog":"none","tlog":"required"` + fulcio, `duplicate key "tlog"`},
		"tlog without a root": {`"tlog":"none"` + key, "tlog needs trustedRootPath or trustedRootData"},
		"certificates too": {
			someRoot + `,"fulcio":{"caPath":"/ca",` + somebody + `}`, `"caPath": the trusted root has the certificates`,
		},
		"certificates as data too": {
			someRoot + `,"fulcio":{"caData":"YQ==",` + somebody + `}`, `"caData": the trusted root has the certificates`,
		},
		"a log's key too": {
			someRoot + someLog + fulcio, `"rekorPublicKeyPath": a trusted root names authorities and logs`,
		},
		"a log's data too": {someRoot + `,"rekorPublicKeyData":"YQ=="` + key, `"rekorPublicKeyData": a trusted root`},
		"logs' keys too":   {someRoot + `,"rekorPublicKeyPaths":["/a"]` + key, `"rekorPublicKeyPaths": a trusted root`},
		"a PKI": {
			someRoot + `,"pki":{"caRootsPath":"/ca","subjectEmail":"a@b.example"}`, `"pki": a trusted root`,
		},
		"nobody":                {someRoot, ""},
		"a key and an identity": {someRoot + key + fulcio, ""},
		"no issuer":             {someRoot + `,"fulcio":{"subjectEmail":"a@b.example"}`, "oidcIssuer"},
		"no subject": {
			someRoot + `,"fulcio":{"oidcIssuer":"https://i.example"}`, "it has none, and must have exactly one of",
		},
		"two subjects":     {someRoot + `,"fulcio":{` + somebody + `,` + workflowURI + `}`, "must have exactly one of"},
		"an unknown field": {someRoot + `,"extra":1` + key, `"extra"`},
		"an unknown field of fulcio": {
			someRoot + `,"fulcio":{"extra":"x",` + somebody + `}`, `unknown key "extra"`,
		},
		"an identity of no type": {someRoot + `,"signedIdentity":{}` + key, ""},
		"a list of roots":        {`"trustedRootPaths":["/root"]` + key, "trustedRootPaths"},
	} {
		t.Run(name, func(t *testing.T) {
			document := list(rootRequirement(test.members))
			_, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(document), noFiles)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%v; want %q", err, test.want)
			}
		})
	}
	for _, kind := range []string{"signedBy", "insecureAcceptAnything", "reject"} {
		document := list(`{"type":"` + kind + `",` + someRoot + `}`)
		if _, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(document), noFiles); err == nil {
			t.Errorf("a requirement of type %s has a trusted root", kind)
		}
	}
}

// TestTrustedRootsThatNothingMeets make the requirement unsatisfiable, not the document.
func TestTrustedRootsThatNothingMeets(t *testing.T) {
	s, stamper := signaturetest.NewSigstore(t), trustedroottest.NewStamper(t, trustedroottest.Around())
	with := func(change func(trustedroottest.File)) []byte {
		file := rootFile(t, s, stamper)
		change(file)
		return file.JSON(t)
	}
	const identity, unlogged = `,"fulcio":{` + somebody + `}`, `,"tlog":"none"`
	for name, test := range map[string]struct {
		file          []byte
		members, want string
	}{
		"no JSON": {[]byte("x"), identity, "reading the trusted root"},
		"empty":   {nil, identity, "reading the trusted root"},
		"a key":   {signaturetest.PublicPEM(t, s.Log.Public()), identity, "reading the trusted root"},
		"no authority": {
			with(func(f trustedroottest.File) { f.CertificateAuthorities = nil }), identity,
			"no certificate authority, which fulcio needs",
		},
		"no log": {
			with(func(f trustedroottest.File) { f.Tlogs = nil }), identity, "no transparency log, and tlog is not none",
		},
		"no timestamp authority": {
			with(func(f trustedroottest.File) { f.TimestampAuthorities = nil }), identity + unlogged,
			"no timestamp authority, which tlog none needs",
		},
	} {
		t.Run(name, func(t *testing.T) {
			read := func(string) ([]byte, error) { return test.file, nil }
			document := list(rootRequirement(someRoot + test.members))
			parsed, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(document), read)
			if err != nil {
				t.Fatal(err)
			}
			problem := parsed.Default[0].Problem
			if !strings.Contains(problem, test.want) || !strings.Contains(problem, "testdata/root.json") {
				t.Errorf("%q; want %q", problem, test.want)
			}
		})
	}
}

// TestOldSignaturesByATrustedRoot: the old format has promises of Rekor's first version, and timestamps.
func TestOldSignaturesByATrustedRoot(t *testing.T) {
	const repository = "registry.example:5000/team/app"
	raw := signaturetest.Manifest("app")
	image := digest.FromBytes(raw)
	around := trustedroottest.Around()
	ours, theirs := signaturetest.NewSigstore(t), signaturetest.NewSigstore(t)
	stamper, other := trustedroottest.NewStamper(t, around), trustedroottest.NewStamper(t, around)
	file := rootFile(t, ours, stamper)
	past := trustedroottest.Period{Start: time.Now().Add(-48 * time.Hour), End: time.Now().Add(-24 * time.Hour)}
	oldLog := trustedroottest.NewFile().Log(t, past, "https://log.example", ours.Log.Public())
	oldLog.CertificateAuthorities = file.CertificateAuthorities
	oldAuthority := trustedroottest.NewFile().Authority(past, ours.Intermediate.Certificate, ours.Root.Certificate)
	oldAuthority.Tlogs = file.Tlogs
	requirement := func(file trustedroottest.File, more map[string]any) map[string]any {
		made := map[string]any{
			"type": "sigstoreSigned", "trustedRootData": file.JSON(t),
			"fulcio":         map[string]any{"oidcIssuer": alice.Issuer, "subjectEmail": alice.Email},
			"signedIdentity": map[string]any{"type": "matchRepository"},
		}
		for name, value := range more {
			made[name] = value
			if name == "keyData" {
				delete(made, "fulcio")
			}
		}
		return made
	}
	none := map[string]any{"tlog": "none"}
	key := signaturetest.NewKey(t)
	keyPEM := signaturetest.PublicPEM(t, key.Public())
	byKey, byKeyUnlogged := map[string]any{"keyData": keyPEM}, map[string]any{"keyData": keyPEM, "tlog": "none"}
	issued := time.Now().Add(-time.Hour)
	good := ours.Sign(t, alice, repository, image)
	stamp := func(s signaturetest.Signature, by *trustedroottest.Stamper, after time.Duration) signaturetest.Signature {
		signed, err := base64.StdEncoding.DecodeString(s.Annotations[signedIn])
		if err != nil {
			t.Fatal(err)
		}
		// A stamper's certificates are valid now, and it says now in addition to the time.
		return with(s, stampedIn, data(map[string]any{
			"SignedRFC3161Timestamp": by.StampAs(t, signed, issued.Add(after), crypto.SHA256, true),
		}))
	}
	unlogged := with(ours.SignAt(t, alice, repository, image, issued, time.Minute), loggedIn, "")
	keyed := signaturetest.Sign(t, key, repository, image)
	loggedKey := keyed.Logged(t, ours.Log, keyPEM, time.Now())
	eve := signaturetest.Identity{Email: "eve@example.com", Issuer: alice.Issuer}
	for name, test := range map[string]struct {
		requirement map[string]any
		signature   signaturetest.Signature
		cause       policy.Cause // Empty: it is accepted.
		detail      string
	}{
		"a promise":                             {requirement(file, nil), good, "", ""},
		"a promise and a timestamp":             {requirement(file, nil), stamp(good, stamper, time.Minute), "", ""},
		"a promise and a stranger's timestamp":  {requirement(file, nil), stamp(good, other, time.Minute), "", ""},
		"a promise and a broken timestamp":      {requirement(file, nil), with(good, stampedIn, "x"), "", ""},
		"a timestamp, where no log is required": {requirement(file, none), stamp(unlogged, stamper, time.Minute), "", ""},
		"a key's promise":                       {requirement(file, byKey), loggedKey, "", ""},
		"a key's timestamp, where no log is required": {
			requirement(file, byKeyUnlogged), stamp(keyed, stamper, time.Minute), "", "",
		},
		"no chain: the trusted root has it": {requirement(file, nil), with(good, chainIn, ""), "", ""},
		"a promise, and a timestamp after the certificate": {
			requirement(file, nil), stamp(good, stamper, 11*time.Minute), policy.OtherSigner, "expired",
		},
		"no promise": {requirement(file, nil), unlogged, policy.NotLogged, "by no transparency log"},
		"a timestamp, where a log is required": {
			requirement(file, nil), stamp(unlogged, stamper, time.Minute), policy.NotLogged, "by no transparency log",
		},
		"no timestamp, where no log is required": {requirement(file, none), good, policy.NotLogged, "it has no timestamp"},
		"a stranger's timestamp, where no log is required": {
			requirement(file, none), stamp(unlogged, other, time.Minute), policy.NotLogged, "no timestamp of it counts",
		},
		"another signature's timestamp": {
			requirement(file, none), with(unlogged, stampedIn, stamp(keyed, stamper, 0).Annotations[stampedIn]),
			policy.NotLogged, "hashed messages don't match",
		},
		"a timestamp before the certificate": {
			requirement(file, none), stamp(unlogged, stamper, -time.Minute), policy.OtherSigner, "not yet valid",
		},
		"a timestamp that is no JSON": {
			requirement(file, none), with(unlogged, stampedIn, "x"), policy.NotLogged, "its timestamp",
		},
		"a timestamp with another key": {
			requirement(file, none), with(unlogged, stampedIn, `{"SignedRFC3161Timestamp":"YQ==","x":1}`), policy.NotLogged,
			"unknown key",
		},
		"a timestamp of nothing": {requirement(file, none), with(unlogged, stampedIn, "{}"), policy.NotLogged, "0 of 1 keys"},
		"another log": {
			requirement(file, nil), good.Logged(t, theirs.Log, []byte(good.Annotations[certifiedIn]), issued),
			policy.NotLogged, "by none of the requirement's logs",
		},
		"another authority": {requirement(file, nil), theirs.Sign(t, alice, repository, image), policy.NotLogged, ""},
		"a log of the past": {requirement(oldLog, nil), good, policy.NotLogged, "is not valid at"},
		"an authority of the past": {
			requirement(oldAuthority, nil), good, policy.OtherSigner, "no certificate authority of the trusted root is valid at",
		},
		"another authority in our log": {
			requirement(file, nil), with(
				theirs.Sign(t, alice, repository, image), loggedIn, "",
			).Logged(t, ours.Log, []byte(theirs.Sign(t, alice, repository, image).Annotations[certifiedIn]), issued),
			policy.NotLogged, "another certificate",
		},
		"another person": {
			requirement(file, nil), ours.Sign(t, eve, repository, image), policy.OtherSigner, "not for the e-mail",
		},
		"another image": {
			requirement(file, nil), ours.Sign(t, alice, repository, digest.FromString("x")), policy.OtherImage, "",
		},
		"another repository":  {requirement(file, nil), ours.Sign(t, alice, repository+"x", image), policy.OtherName, ""},
		"a key":               {requirement(file, nil), loggedKey, policy.OtherSigner, "it has no certificate"},
		"a key without a log": {requirement(file, byKey), keyed, policy.NotLogged, "by no transparency log"},
		"a key's timestamp, where a log is required": {
			requirement(file, byKey), stamp(keyed, stamper, time.Minute), policy.NotLogged, "by no transparency log",
		},
		"a key in another log": {
			requirement(file, byKey), keyed.Logged(t, theirs.Log, keyPEM, time.Now()), policy.NotLogged, "by none of",
		},
		"another key in our log": {
			requirement(file, byKey),
			keyed.Logged(t, ours.Log, signaturetest.PublicPEM(t, signaturetest.NewKey(t).Public()), time.Now()),
			policy.NotLogged, "another certificate",
		},
		"another key": {
			requirement(file, byKey), signaturetest.Sign(t, signaturetest.NewKey(t), repository, image),
			policy.OtherKey, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, raw, test.signature.File(t))
			parsed := parse(t, data(test.requirement))[0]
			if parsed.Problem != "" {
				t.Fatal(parsed.Problem)
			}
			finding := signature.NewJudge().Judge(t.Context(), app.request(parsed, named(t, appReference)))
			if finding.Met != (test.cause == "") || finding.Cause != test.cause ||
				!strings.Contains(finding.Detail, test.detail) {
				t.Errorf("%s; want %s: %s", show(finding), test.cause, test.detail)
			}
		})
	}
}

// TestRequirementsWithATrustedRootAreDescribedAndAdvised: advice names the services of the trusted root.
func TestRequirementsWithATrustedRootAreDescribedAndAdvised(t *testing.T) {
	file := rootFile(t, signaturetest.NewSigstore(t), trustedroottest.NewStamper(t, trustedroottest.Around()))
	for tlog, want := range map[string]struct{ description, advice string }{
		"required": {"in a transparency log of its trusted root", "with a transparency log of the trusted root"},
		"none": {
			"with a timestamp by an authority of its trusted root", "with a timestamp authority of the trusted root",
		},
	} {
		requirement := parse(t, rootRequirement(`"trustedRootData":`+data(file.JSON(t))+`,"tlog":"`+tlog+
			`","fulcio":{`+somebody+`}`))[0]
		kinds := signature.Kinds(nil)
		if got := kinds.Describe(requirement); !strings.Contains(got, want.description) {
			t.Errorf("%s; want %s", got, want.description)
		}
		advise := kinds[policy.SigstoreSigned].Advise
		if got := advise(requirement, policy.NotLogged, named(t, appReference)); !strings.Contains(got, want.advice) {
			t.Errorf("%s; want %s", got, want.advice)
		}
	}
}
