package signature_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	containers "go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// FuzzParse compares with containers/image which documents load, with which scopes and numbers of requirements.
func FuzzParse(f *testing.F) {
	for _, documents := range []map[string]string{goodDocuments(), badDocuments()} {
		for _, raw := range documents {
			f.Add([]byte(raw))
		}
	}
	for _, members := range []string{workflowURI, releases, workflowURI + `,"buildTrigger":"push"`, `"x":1`} {
		f.Add([]byte(list(extendedBy(members))))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		theirs, theirErr := containers.NewPolicyFromBytes(raw)
		read := func(string) ([]byte, error) { return nil, errors.New("no files here") }
		parser := signature.NewParser(signature.Kinds(nil))
		ours, err := parser.Parse(bytes.Clone(raw), read)
		if err == nil && theirErr == nil && hasExtensions(ours) {
			t.Fatal("containers/image loads a document with extensions, and may read it otherwise")
		}
		if err == nil && theirErr != nil && aboutExtension(theirErr) {
			return
		}
		if (err == nil) != (theirErr == nil) {
			t.Fatalf("containers/image: %v; we: %v", theirErr, err)
		}
		if err != nil {
			return
		}
		checkDocument(t, ours, theirs)
		again, err := parser.Parse(raw, read)
		if err != nil || again.Default[0] != ours.Default[0] {
			t.Errorf("read again, it is another document (%v)", err)
		}
	})
}

// aboutExtension reports whether containers/image refuses a document because of an extension field.
func aboutExtension(err error) bool {
	return slices.ContainsFunc([]string{
		"subjectURI", "subjectURIPattern", "buildSignerURI", "sourceRepositoryURI", "sourceRepositoryRef",
		"sourceRepositoryOwnerURI", "runnerEnvironment", "buildTrigger",
	}, func(field string) bool { return strings.Contains(err.Error(), fmt.Sprintf("Unknown key %q", field)) })
}

// hasExtensions reports whether a requirement has extension fields.
func hasExtensions(document *policy.Document) bool {
	extended := func(r *policy.Requirement) bool { return len(r.Extensions) > 0 }
	for _, list := range document.Scopes {
		if slices.ContainsFunc(list, extended) {
			return true
		}
	}
	return slices.ContainsFunc(document.Default, extended)
}

// checkDocument compares the lists of two documents, by position and length.
func checkDocument(t *testing.T, ours *policy.Document, theirs *containers.Policy) {
	t.Helper()
	if len(ours.Default) != len(theirs.Default) {
		t.Errorf("%d requirements by default, want %d", len(ours.Default), len(theirs.Default))
	}
	scopes := theirs.Transports["docker"]
	if !slices.Equal(slices.Sorted(maps.Keys(ours.Scopes)), slices.Sorted(maps.Keys(scopes))) {
		t.Errorf("scopes %v, want %v", ours.Scopes, scopes)
	}
	for scope, list := range ours.Scopes {
		if len(list) != len(scopes[scope]) {
			t.Errorf("%d requirements in scope %q, want %d", len(list), scope, len(scopes[scope]))
		}
		for _, requirement := range list {
			checkRequirement(t, requirement)
		}
	}
}

// checkRequirement checks that the JSON of a requirement is a valid requirement.
func checkRequirement(t *testing.T, requirement *policy.Requirement) {
	t.Helper()
	if (requirement.Problem == "") != (len(requirement.JSON) > 0) {
		t.Errorf("%q in addition to the problem %q", requirement.JSON, requirement.Problem)
	}
	if requirement.Problem != "" {
		return
	}
	if _, err := containers.NewPolicyFromBytes([]byte(list(string(requirement.JSON)))); err != nil {
		t.Errorf("%s: %v", requirement.JSON, err)
	}
}

// FuzzJudge judges bytes that nobody has signed: they never meet a requirement.
func FuzzJudge(f *testing.F) {
	// The fixtures sign other manifests than this one, so even they must not be accepted unchanged.
	manifest := signaturetest.Manifest("fuzz")
	for _, name := range []string{
		"cosign-valid", "cosign-key-rekor-valid", "cosign-fulcio-rekor-valid", "cosign-pki-valid", "valid", "subkey",
	} {
		f.Add(fixture(f, name+".signature"))
	}
	requirements := fuzzRequirements(f)
	judge := signature.NewJudge()
	ref := named(f, "example.com/app:v1")
	f.Fuzz(func(t *testing.T, raw []byte) {
		sample := newSample(t, manifest, raw)
		for _, requirement := range requirements {
			finding := judge.Judge(t.Context(), sample.request(requirement, ref))
			if finding.Met {
				t.Errorf("%s is met", requirement.Kind)
			}
			if finding.Reason == policy.Internal || finding.Reason == "" {
				t.Errorf("%s: %s: %s", requirement.Kind, finding.Reason, finding.Detail)
			}
		}
	})
}

// fuzzRequirements has every kind of trust, with any name accepted.
func fuzzRequirements(t testing.TB) []*policy.Requirement {
	t.Helper()
	var all []*policy.Requirement
	for _, trust := range []string{
		keyPath("cosign.pub"),
		keyPath("cosign2.pub") + rekor("rekor.pub"),
		fulcio("fulcio_v1.crt.pem", "https://github.com/login/oauth", "mitr@redhat.com") + rekor("rekor.pub"),
		`"fulcio":{` + caAndIssuer + `,` + releases + `}` + someLog,
		pki("caRootsPath", "pki_root_crts.pem", "caIntermediatesPath", "pki_intermediate_crts.pem", "subjectEmail",
			"qiwan@redhat.com"),
	} {
		for _, identity := range []string{"192.168.64.2:5000/cosign-signed/key-1", "localhost:5000/test"} {
			all = append(all, parse(t, sigstoreSigned(trust, `{"type":"exactRepository","dockerRepository":"`+identity+
				`"}`))...)
		}
	}
	return append(all, parse(t, signedBy(keyPath("public-key.gpg"),
		`{"type":"exactRepository","dockerRepository":"testing/manifest"}`))...)
}
