package signature_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// benchmarkJudge compares a judgement with a direct call of containers/image for the same image: reading the same files
// with a policy that was parsed before. The bound is 1.2 times that.
func benchmarkJudge(b *testing.B, requirement, name string, app sample) {
	b.Helper()
	ref := named(b, name)
	// containers/image gets the keys as data too; otherwise it reads them from files each time.
	parsed := parse(b, requirement)[0]
	if parsed.Problem != "" {
		b.Fatal(parsed.Problem)
	}
	document := containersPolicy(b, list(string(parsed.JSON)))
	judge := signature.NewJudge()
	b.Run("countersign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if finding := judge.Judge(b.Context(), app.request(parsed, ref)); !finding.Met {
				b.Fatal(finding.Detail)
			}
		}
	})
	b.Run("containers-image", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := bare(b.Context(), document, ref, app); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkJudgeKey(b *testing.B) {
	app, requirement := signedApp(b)
	benchmarkJudge(b, string(requirement.JSON), appReference, app)
}

func BenchmarkJudgeKeyRekor(b *testing.B) {
	log, key := signaturetest.NewKey(b), signaturetest.NewKey(b)
	raw := signaturetest.Manifest("app")
	keyPEM := signaturetest.PublicPEM(b, key.Public())
	app := newSample(b, raw, signaturetest.Sign(b, key, appReference, digest.FromBytes(raw)).
		Logged(b, log, keyPEM, time.Now()).File(b))
	benchmarkJudge(b, sigstoreSigned(`"keyData":`+data(keyPEM)+`,"rekorPublicKeyData":`+
		data(signaturetest.PublicPEM(b, log.Public())), ""), appReference, app)
}

func BenchmarkJudgeFulcio(b *testing.B) {
	benchmarkFixture(b, sigstoreFixtures()["keyless"])
}

func BenchmarkJudgePKI(b *testing.B) {
	benchmarkFixture(b, pkiFixtures()["certified for a person and a host"])
}

func BenchmarkJudgeGPG(b *testing.B) {
	benchmarkFixture(b, gpgFixtures()["GPG"])
}

func benchmarkFixture(b *testing.B, c fixtureCase) {
	b.Helper()
	benchmarkJudge(b, c.requirement, c.reference, newSample(b, fixture(b, c.manifest), fixture(b, c.signatures)))
}

// renderDocuments writes documents of about 8 KiB as OpenShift's machine config operator does: each has the cluster's
// scopes, under "docker" and under "atomic", and one or two of its own.
func renderDocuments(b *testing.B, count int) (directory string, size int) {
	b.Helper()
	directory = b.TempDir()
	key := data(fixture(b, "cosign.pub"))
	var cluster []string
	for i := range 9 {
		cluster = append(cluster, fmt.Sprintf(`      "registry-%d.example.com/team": [
        {"type": "sigstoreSigned", "keyData": %s, "signedIdentity": {"type": "matchRepository"}}
      ]`, i, key))
	}
	shared := strings.Join(cluster, ",\n")
	for i := range count {
		own := fmt.Sprintf(`      "registry.example.com/namespace-%d": [
        {"type": "sigstoreSigned", "keyData": %s, "signedIdentity": {"type": "exactRepository",
	"dockerRepository": "registry.example.com/ns%d"}}
      ]`, i, key, i)
		scopes := shared + ",\n" + own
		raw := fmt.Sprintf(`{
  "default": [{"type": "insecureAcceptAnything"}],
  "transports": {
    "docker": {
%s
    },
    "atomic": {
%s
    },
    "docker-daemon": {"": [{"type": "insecureAcceptAnything"}]}
  }
}
`, scopes, scopes)
		size += len(raw)
		signaturetest.Write(b, filepath.Join(directory, fmt.Sprintf("namespace-%d.json", i)), []byte(raw))
	}
	return directory, size
}

// BenchmarkParse10000Documents reads and parses 10,000 files of 8 KiB, on two goroutines. The bound is one second,
// which leaves another of the two seconds for listing and watching the files.
func BenchmarkParse10000Documents(b *testing.B) {
	const count = 10_000
	directory, size := renderDocuments(b, count)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		parser := signature.NewParser(signature.Kinds(nil))
		documents := make([]*policy.Document, count)
		var group sync.WaitGroup
		for worker := range 2 {
			group.Go(func() {
				for i := worker; i < count; i += 2 {
					documents[i] = load(b, parser, filepath.Join(directory, fmt.Sprintf("namespace-%d.json", i)))
				}
			})
		}
		group.Wait()
	}
	b.ReportMetric(float64(size)/count, "bytes/document")
}

func load(b *testing.B, parser *signature.Parser, path string) *policy.Document {
	b.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Error(err)
		return nil
	}
	document, err := parser.Parse(raw, os.ReadFile)
	if err != nil {
		b.Error(err)
	}
	return document
}
