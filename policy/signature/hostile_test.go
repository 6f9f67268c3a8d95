package signature_test

import (
	"bytes"
	"compress/flate"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestKeyringsAreJoined: containers/image uses the first key in all files that has the signature's ID, and no other. A
// judge that used one file after the other would accept a key that an earlier file revokes or lets expire.
func TestKeyringsAreJoined(t *testing.T) {
	then := func() time.Time { return time.Now().Add(-48 * time.Hour) }
	key := newGPGKey(t, &packet.Config{Time: then})
	sound := keyring(t, key)
	manifest := signaturetest.Manifest("app")
	app := newSample(t, manifest, gpgSigned(t, key, digest.FromBytes(manifest)))
	if err := key.RevokeKey(packet.KeyCompromised, "stolen", nil); err != nil {
		t.Fatal(err)
	}
	revoked := keyring(t, key)
	other := keyring(t, newGPGKey(t, nil))
	for name, test := range map[string]struct {
		files [][]byte
		met   bool
	}{
		"one ring":                          {[][]byte{sound}, true},
		"one armored ring":                  {[][]byte{armored(t, sound)}, true},
		"the second of two":                 {[][]byte{other, sound}, true},
		"the second of two, both armored":   {[][]byte{armored(t, other), armored(t, sound)}, true},
		"an empty file before it":           {[][]byte{{}, sound}, true},
		"revoked":                           {[][]byte{revoked}, false},
		"revoked, and sound in a later one": {[][]byte{revoked, sound}, false},
		"sound, and revoked in a later one": {[][]byte{sound, revoked}, true},
		"another key":                       {[][]byte{other}, false},
		"another that is not a keyring":     {[][]byte{sound, []byte("-----BEGIN NOTHING-----")}, false},
		"an empty file":                     {[][]byte{{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			var paths []string
			for i, file := range test.files {
				paths = append(paths, filepath.Join(directory, string(rune('a'+i))))
				signaturetest.Write(t, paths[i], file)
			}
			requirement := signedBy(`"keyPaths":`+data(paths), "")
			theirs := bare(t.Context(), containersPolicy(t, list(requirement)), named(t, appReference), app)
			finding := judgeAll(t, signature.NewJudge(), parse(t, requirement), named(t, appReference), app)
			if finding.Met != test.met || (theirs == nil) != test.met {
				t.Errorf("met: %t, want %t (%s; containers/image: %v)", finding.Met, test.met, finding.Detail, theirs)
			}
		})
	}
}

// TestCompressedSignaturesAreNotInflated: a message of some kilobytes contains 64 MiB.
func TestCompressedSignaturesAreNotInflated(t *testing.T) {
	key := newGPGKey(t, nil)
	manifest := signaturetest.Manifest("app")
	good := gpgSigned(t, key, digest.FromBytes(manifest))
	large := bomb(t, 64<<20)
	app := newSample(t, manifest, large)
	requirement := parse(t, signedBy(`"keyData":`+data(keyring(t, key)), ""))
	ref := named(t, appReference)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	finding := judgeAll(t, signature.NewJudge(), requirement, ref, app)
	runtime.ReadMemStats(&after)
	if reason(finding) != policy.Rejected {
		t.Errorf("%s: %s", reason(finding), finding.Detail)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 16<<20 {
		t.Errorf("judging it took %d MiB", allocated>>20)
	}
	both := newSample(t, manifest, large, good)
	if finding := judgeAll(t, signature.NewJudge(), requirement, ref, both); !finding.Met {
		t.Errorf("another good signature is ignored: %s", finding.Detail)
	}
}

// bomb is a compressed OpenPGP message that decompresses to a large one.
func bomb(t testing.TB, size int) []byte {
	t.Helper()
	var compressed bytes.Buffer
	writer, err := flate.NewWriter(&compressed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	// A one-pass signature, then literal data: format, no file name, no date, and a length in four octets.
	inner := []byte{0xc4, 13, 3, 0, 8, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1}
	length := size + 6
	inner = append(inner, 0xcb, 0xff, byte(length>>24), byte(length>>16), byte(length>>8), byte(length), 'b', 0, 0,
		0, 0, 0)
	if _, err := writer.Write(inner); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for written := 0; written < size; written += len(zeros) {
		if _, err := writer.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	// A compressed data packet in the old format, without a length, and the algorithm ZIP.
	return append([]byte{0xa3, 1}, compressed.Bytes()...)
}
