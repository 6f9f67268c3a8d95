package compile

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/policy"
)

// Types of requirements in containers-policy.json(5).
const (
	typeAccept         = "insecureAcceptAnything"
	typeReject         = "reject"
	typeSignedBy       = "signedBy"
	typeSigstoreSigned = "sigstoreSigned"
)

// audit is the enforcement of a requirement that is only reported.
const audit = "audit"

// compiled is a policy whose requirement was made and checked.
type compiled struct {
	scopes      []string
	requirement *element
}

// requirement is a requirement of containers-policy.json(5).
type requirement struct {
	Type                string          `json:"type"`
	KeyType             string          `json:"keyType,omitempty"`
	KeyData             []byte          `json:"keyData,omitempty"`
	KeyDatas            [][]byte        `json:"keyDatas,omitempty"`
	Fulcio              *fulcio         `json:"fulcio,omitempty"`
	PKI                 *pki            `json:"pki,omitempty"`
	RekorPublicKeyData  []byte          `json:"rekorPublicKeyData,omitempty"`
	RekorPublicKeyDatas [][]byte        `json:"rekorPublicKeyDatas,omitempty"`
	SignedIdentity      *signedIdentity `json:"signedIdentity,omitempty"`
	Enforcement         string          `json:"enforcement,omitempty"`
}

type fulcio struct {
	CAData       []byte `json:"caData"`
	OIDCIssuer   string `json:"oidcIssuer"`
	SubjectEmail string `json:"subjectEmail"`
}

type pki struct {
	CARootsData         []byte `json:"caRootsData"`
	CAIntermediatesData []byte `json:"caIntermediatesData,omitempty"`
	SubjectEmail        string `json:"subjectEmail,omitempty"`
	SubjectHostname     string `json:"subjectHostname,omitempty"`
}

type signedIdentity struct {
	Type             string `json:"type"`
	DockerRepository string `json:"dockerRepository,omitempty"`
	Prefix           string `json:"prefix,omitempty"`
	SignedPrefix     string `json:"signedPrefix,omitempty"`
}

// read makes the requirement of a policy and checks its scopes. A policy that cannot be used refuses every image of its
// scopes.
func (c *Compiler) read(name string, spec v1alpha1.ImagePolicySpec) (compiled, []Problem) {
	var problems []Problem
	made, err := requirementOf(spec.Policy)
	if err == nil {
		err = c.check(encode(made))
	}
	isAudit, effect := spec.Mode == v1alpha1.AuditMode, "is refused"
	if isAudit {
		effect = "is reported"
	}
	if err != nil {
		problems = append(problems, Problem{
			Reason: InvalidPolicy, Detail: fmt.Sprintf("%v; every image of the scopes of policy %s %s", err, name, effect),
		})
		made = requirement{Type: typeReject}
	}
	if isAudit {
		made.Enforcement = audit
	}
	read := compiled{requirement: elementOf(made)}
	for _, scope := range spec.Scopes {
		if dead := policy.CheckScope(string(scope)); dead != nil || scope == "" {
			problem := Problem{Reason: UnmatchableScopes, Scope: string(scope), Detail: unmatchable(scope, dead)}
			problems = append(problems, problem)
			continue
		}
		read.scopes = append(read.scopes, string(scope))
	}
	return read, problems
}

func unmatchable(scope v1alpha1.ImageScope, dead *policy.DeadScope) string {
	if dead == nil {
		return "a scope is empty; write the host of a registry"
	}
	return fmt.Sprintf("no image can match scope %s: %s", scope, dead)
}

// encode returns a requirement in JSON. It cannot fail: there are only strings and bytes.
func encode(r requirement) json.RawMessage {
	raw, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("a requirement that cannot be written as JSON: %v", err))
	}
	return raw
}

func elementOf(r requirement) *element {
	made, err := newElement(encode(r))
	if err != nil {
		panic(fmt.Sprintf("a requirement that cannot be read: %v", err))
	}
	return made
}

// check loads a requirement as the node's daemon does, and returns why nothing can meet it.
func (c *Compiler) check(raw json.RawMessage) error {
	document := fmt.Appendf(nil, `{"default":[%s]}`, raw)
	parsed, err := c.parser.Parse(document, func(string) ([]byte, error) { return nil, errNotRead })
	if err != nil {
		return err
	}
	if problem := parsed.Default[0].Problem; problem != "" {
		return errors.New(problem)
	}
	return nil
}

// requirementOf returns the requirement of a policy. The API server has checked the policy, unless its CRD was changed.
func requirementOf(p v1alpha1.Policy) (requirement, error) {
	made, err := rootOf(p.RootOfTrust)
	if err != nil {
		return requirement{}, err
	}
	if p.SignedIdentity == nil {
		return made, nil
	}
	if made.Type == typeAccept || made.Type == typeReject {
		return requirement{}, fmt.Errorf("signedIdentity is set, and policyType %s has none", p.RootOfTrust.PolicyType)
	}
	made.SignedIdentity, err = identityOf(*p.SignedIdentity)
	return made, err
}

func rootOf(root v1alpha1.RootOfTrust) (requirement, error) {
	missing := fmt.Errorf("policyType is %s, and its field is not set", root.PolicyType)
	switch root.PolicyType {
	case v1alpha1.AcceptType:
		return requirement{Type: typeAccept}, nil
	case v1alpha1.RejectType:
		return requirement{Type: typeReject}, nil
	case v1alpha1.PublicKeyType:
		if root.PublicKey == nil {
			return requirement{}, missing
		}
		return requirement{
			Type: typeSigstoreSigned, KeyData: root.PublicKey.KeyData, KeyDatas: root.PublicKey.KeyDatas,
			RekorPublicKeyData: root.PublicKey.RekorKeyData, RekorPublicKeyDatas: root.PublicKey.RekorKeyDatas,
		}, nil
	case v1alpha1.FulcioCAWithRekorType:
		if root.FulcioCAWithRekor == nil {
			return requirement{}, missing
		}
		f := root.FulcioCAWithRekor
		return requirement{
			Type: typeSigstoreSigned, RekorPublicKeyData: f.RekorKeyData,
			Fulcio: &fulcio{f.FulcioCAData, f.FulcioSubject.OIDCIssuer, f.FulcioSubject.SignedEmail},
		}, nil
	case v1alpha1.PKIType:
		if root.PKI == nil {
			return requirement{}, missing
		}
		subject := root.PKI.PKICertificateSubject
		return requirement{
			Type: typeSigstoreSigned,
			PKI:  &pki{root.PKI.CARootsData, root.PKI.CAIntermediatesData, subject.Email, subject.Hostname},
		}, nil
	case v1alpha1.GPGKeysType:
		if root.GPGKeys == nil {
			return requirement{}, missing
		}
		joined, err := keyring(root.GPGKeys.KeyDatas)
		return requirement{Type: typeSignedBy, KeyType: "GPGKeys", KeyData: joined}, err
	default:
		return requirement{}, fmt.Errorf("policyType %q is unknown", root.PolicyType)
	}
}

func identityOf(identity v1alpha1.SignedIdentity) (*signedIdentity, error) {
	switch identity.MatchPolicy {
	case v1alpha1.MatchRepoDigestOrExact:
		return &signedIdentity{Type: "matchRepoDigestOrExact"}, nil
	case v1alpha1.MatchRepository:
		return &signedIdentity{Type: "matchRepository"}, nil
	case v1alpha1.ExactRepository:
		if identity.ExactRepository == nil {
			return nil, errors.New("matchPolicy is ExactRepository, and exactRepository is not set")
		}
		return &signedIdentity{
			Type: "exactRepository", DockerRepository: string(identity.ExactRepository.Repository),
		}, nil
	case v1alpha1.RemapIdentity:
		if identity.RemapIdentity == nil {
			return nil, errors.New("matchPolicy is RemapIdentity, and remapIdentity is not set")
		}
		return &signedIdentity{
			Type: "remapIdentity", Prefix: string(identity.RemapIdentity.Prefix),
			SignedPrefix: string(identity.RemapIdentity.SignedPrefix),
		}, nil
	default:
		return nil, fmt.Errorf("matchPolicy %q is unknown", identity.MatchPolicy)
	}
}
