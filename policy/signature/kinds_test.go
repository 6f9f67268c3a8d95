package signature_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// notation is a kind that containers/image does not support, as another package would add it: one row.
const notation policy.Kind = "notationSigned"

func withNotation() *signature.Parser {
	kinds := signature.Kinds(nil)
	kinds[notation] = policy.KindSpec{
		NeedsEvidence: true,
		Parse: func(raw []byte) error {
			if !bytes.Contains(raw, []byte("keyPath")) {
				return errors.New("notationSigned needs a keyPath")
			}
			return nil
		},
		Validate: func(_ []byte, read func(string) ([]byte, error)) ([]byte, error) {
			key, err := read("testdata/containers-image/cosign.pub")
			return append([]byte("with "), key[:len("-----BEGIN PUBLIC KEY-----")]...), err
		},
	}
	return signature.NewParser(kinds)
}

func TestAKindOfAnotherPackageIsOneRow(t *testing.T) {
	const own, library = `{"type":"notationSigned","keyPath":"testdata/containers-image/cosign.pub"}`, `{"type":"reject"}`
	for name, test := range map[string]struct {
		list  string
		kinds []policy.Kind
		err   string
	}{
		"alone":              {`[` + own + `]`, []policy.Kind{notation}, ""},
		"before a library's": {`[` + own + `,` + library + `]`, []policy.Kind{notation, policy.Reject}, ""},
		"after a library's":  {`[` + library + `,` + own + `]`, []policy.Kind{policy.Reject, notation}, ""},
		"invalid": {
			`[` + library + `,{"type":"notationSigned"}]`, nil, "requirement 2: notationSigned needs",
		},
		"before a library's bad":    {`[` + own + `,{"type":"reject","x":1}]`, nil, `"x"`},
		"before an unknown kind":    {`[` + own + `,{"type":"rejcet"}]`, nil, "rejcet"},
		"before what is not a kind": {`[` + own + `,7]`, nil, "number"},
		"an empty list":             {`[]`, nil, "empty"},
		"a kind in other letters":   {`[{"type":"notationsigned","keyPath":"x"}]`, nil, "notationsigned"},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := withNotation().Parse([]byte(`{"default":`+test.list+`}`), os.ReadFile)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(document.Default) != len(test.kinds) {
				t.Fatalf("%d requirements, want %d", len(document.Default), len(test.kinds))
			}
			for i, requirement := range document.Default {
				if requirement.Kind != test.kinds[i] {
					t.Errorf("requirement %d is of kind %s, want %s", i+1, requirement.Kind, test.kinds[i])
				}
				if requirement.Kind == notation && (!requirement.NeedsEvidence || requirement.ID == "" ||
					string(requirement.JSON) != "with -----BEGIN PUBLIC KEY-----" || len(requirement.KeyFiles) != 1) {
					t.Errorf("the requirement is %+v", requirement)
				}
			}
		})
	}
	raw := []byte(`{"default":[` + own + `]}`)
	if _, err := signature.NewParser(signature.Kinds(nil)).Parse(raw, os.ReadFile); err == nil {
		t.Error("a parser without the row accepts the kind")
	}
}

func TestTheTableHasTheKindsOfContainersPolicy(t *testing.T) {
	kinds := signature.Kinds(signature.NewJudge())
	for _, kind := range []policy.Kind{
		policy.InsecureAcceptAnything, policy.Reject, policy.SignedBy, policy.SigstoreSigned, policy.SignedBaseLayer,
	} {
		if len(kinds[kind].Judges) != 1 || kinds[kind].Parse != nil {
			t.Errorf("%s: %d judges", kind, len(kinds[kind].Judges))
		}
	}
}
