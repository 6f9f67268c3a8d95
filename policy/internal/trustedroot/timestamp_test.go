package trustedroot_test

import (
	"bytes"
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/countersign/countersign/policy/internal/trustedroot"
	"github.com/countersign/countersign/policy/internal/trustedroot/trustedroottest"
)

func TestTimestampsCountIfATrustedAuthorityMadeThemForTheSignature(t *testing.T) {
	around, signature := trustedroottest.Around(), []byte("signature")
	ours, theirs := trustedroottest.NewStamper(t, around), trustedroottest.NewStamper(t, around)
	loose := trustedroottest.NewStamperFor(t, around, trustedroottest.TimestampUsage(t, false))
	useless := trustedroottest.NewStamperFor(t, around)
	old := trustedroottest.NewStamper(t, trustedroottest.Period{
		Start: time.Now().Add(-48 * time.Hour), End: time.Now().Add(-24 * time.Hour),
	})
	ever := trustedroottest.Period{Start: time.Unix(1, 0)}
	now := time.Now().Truncate(time.Second).UTC()
	hour := trustedroottest.Period{Start: now.Add(-time.Hour), End: now}
	root := parse(t, trustedroottest.NewFile().
		Stamper(around, loose.Leaf, loose.Root).Stamper(around, useless.Leaf, useless.Root).
		Stamper(ever, old.Leaf, old.Root).Stamper(hour, ours.Leaf, ours.Root).JSON(t))
	rootOnly := parse(t, trustedroottest.NewFile().Stamper(around, ours.Root).JSON(t))
	flipped := bytes.Clone(ours.Stamp(t, signature, now))
	flipped[len(flipped)-5] ^= 1
	failed, err := timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.BadRequest)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		root     *trustedroot.Root
		response []byte
		want     string // A part of the problem; empty: it counts.
	}{
		"as it is":           {root, ours.Stamp(t, signature, now), ""},
		"at the start":       {root, ours.Stamp(t, signature, now.Add(-time.Hour)), ""},
		"with SHA-384":       {root, ours.StampAs(t, signature, now, crypto.SHA384, false), ""},
		"with SHA-512":       {root, ours.StampAs(t, signature, now, crypto.SHA512, false), ""},
		"with a certificate": {root, ours.StampAs(t, signature, now, crypto.SHA256, true), ""},
		"with a certificate, by an authority that names only its root": {
			rootOnly, ours.StampAs(t, signature, now, crypto.SHA256, true), "",
		},
		"without a certificate, by an authority that names only its root": {
			rootOnly, ours.Stamp(t, signature, now), "leaf certificate must be present",
		},
		"of another signature":        {root, ours.Stamp(t, []byte("other"), now), "hashed messages don't match"},
		"before the period":           {root, ours.Stamp(t, signature, now.Add(-time.Hour-time.Second)), "before the"},
		"after the period":            {root, ours.Stamp(t, signature, now.Add(time.Second)), "after the validity"},
		"after the authority expired": {root, old.Stamp(t, signature, now), "outside of certificate validity"},
		"by another authority":        {root, theirs.Stamp(t, signature, now), "by none of"},
		"by another authority, with its certificate": {
			root, theirs.StampAs(t, signature, now, crypto.SHA256, true), "by none of the trusted root's timestamp authorities",
		},
		"by a key whose usage is not critical": {root, loose.Stamp(t, signature, now), "critical"},
		"by a key that may not":                {root, useless.Stamp(t, signature, now), "certificate must set EKU"},
		"with a changed bit":                   {root, flipped, "by none of"},
		"truncated":                            {root, ours.Stamp(t, signature, now)[:100], "not a response"},
		"with data after it":                   {root, append(ours.Stamp(t, signature, now), 0), "not a response"},
		"empty":                                {root, nil, "not a response"},
		"an error":                             {root, failed, "not a response"},
		"33 KiB":                               {root, make([]byte, 33<<10), "the maximum is 32768"},
	} {
		t.Run(name, func(t *testing.T) {
			times, problems := test.root.Times(signature, [][]byte{test.response})
			counts := test.want == ""
			if (len(times) == 1) != counts || (len(problems) == 0) != counts {
				t.Fatalf("%v, %v", times, problems)
			}
			if err := errors.Join(problems...); err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
}

// TestOneTimestampDoesNotAffectAnother.
func TestOneTimestampDoesNotAffectAnother(t *testing.T) {
	around, signature := trustedroottest.Around(), []byte("signature")
	ours, theirs := trustedroottest.NewStamper(t, around), trustedroottest.NewStamper(t, around)
	root := parse(t, trustedroottest.NewFile().Stamper(around, ours.Leaf, ours.Root).JSON(t))
	now := time.Now().Truncate(time.Second).UTC()
	good, bad := ours.Stamp(t, signature, now), theirs.Stamp(t, signature, now)
	times, problems := root.Times(signature, [][]byte{bad, good, nil})
	if len(times) != 1 || !times[0].Equal(now) || len(problems) != 2 {
		t.Errorf("%v, %v", times, problems)
	}
	nine := [][]byte{good, good, good, good, good, good, good, good, good}
	if times, problems := root.Times(signature, nine[:8]); len(times) != 8 || problems != nil {
		t.Errorf("%v, %v", times, problems)
	}
	if times, problems := root.Times(signature, nine); times != nil || len(problems) != 1 {
		t.Errorf("%v, %v", times, problems)
	}
	nobody := parse(t, trustedroottest.NewFile().JSON(t))
	if times, problems := nobody.Times(signature, nine[:1]); times != nil || len(problems) != 1 {
		t.Errorf("%v, %v", times, problems)
	}
}

// TestTheClaimedTimeIsTheOneThatIsVerified, whoever has signed it.
func TestTheClaimedTimeIsTheOneThatIsVerified(t *testing.T) {
	stamper, at := trustedroottest.NewStamper(t, trustedroottest.Around()), time.Unix(1_700_000_000, 0)
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA512} {
		claimed, err := trustedroot.ClaimedTime(stamper.StampAs(t, []byte("any"), at, hash, true))
		if err != nil || !claimed.Equal(at) {
			t.Errorf("%v, %v", claimed, err)
		}
	}
	for name, response := range map[string][]byte{
		"nothing": nil, "no response": []byte("x"), "much": make([]byte, 1<<20),
	} {
		if claimed, err := trustedroot.ClaimedTime(response); err == nil {
			t.Errorf("%s claims %v", name, claimed)
		}
	}
}

func FuzzTimes(f *testing.F) {
	around, signature := trustedroottest.Around(), []byte("signature")
	ours := trustedroottest.NewStamper(f, around)
	root, err := trustedroot.Parse(trustedroottest.NewFile().Stamper(around, ours.Leaf, ours.Root).JSON(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ours.Stamp(f, signature, time.Now()))
	f.Add(ours.StampAs(f, signature, time.Now(), crypto.SHA256, true))
	f.Fuzz(func(t *testing.T, response []byte) {
		times, problems := root.Times(signature, [][]byte{response})
		if len(times)+len(problems) != 1 {
			t.Errorf("%v, %v", times, problems)
		}
		claimed, err := trustedroot.ClaimedTime(response)
		if len(times) == 1 && (err != nil || !claimed.Equal(times[0])) {
			t.Errorf("verified %v, claimed %v, %v", times, claimed, err)
		}
	})
}
