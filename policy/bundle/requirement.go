package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/condition"
	"github.com/countersign/countersign/policy/internal/fulcio"
	"github.com/countersign/countersign/policy/internal/signedidentity"
)

// requirement is a compiled sigstoreSigned or attested requirement. It trusts keys, or an authority.
type requirement struct {
	keys      []*key
	authority *authority
	// logs are the logs of which one must have recorded the signature, by the hexadecimal ID in entries. Nil: none is
	// required.
	logs map[string]*root.TransparencyLog
	// trusted, if set, has the logs and the authorities instead.
	trusted  *trusted
	identity signedidentity.Identity
	// predicateType and where belong to attested requirements: which attestations count, and for which predicates. where
	// is nil if any predicate will do.
	predicateType string
	where         *condition.Condition
}

// document is a sigstoreSigned or attested requirement as package signature writes it: without paths.
type document struct {
	Type                policy.Kind `json:"type"`
	KeyData             []byte      `json:"keyData"`
	KeyDatas            [][]byte    `json:"keyDatas"`
	RekorPublicKeyData  []byte      `json:"rekorPublicKeyData"`
	RekorPublicKeyDatas [][]byte    `json:"rekorPublicKeyDatas"`
	TrustedRootData     []byte      `json:"trustedRootData"`
	TLog                string      `json:"tlog"`
	// Hash is that of RSA keys; see parseKeys.
	Hash           string          `json:"hash"`
	Fulcio         *keyless        `json:"fulcio"`
	PKI            *pki            `json:"pki"`
	SignedIdentity json.RawMessage `json:"signedIdentity"`
	PredicateType  string          `json:"predicateType"`
	Where          string          `json:"where"`
}

type keyless struct {
	fulcio.Identity

	CAData []byte `json:"caData"`
}

type pki struct {
	CARootsData         []byte `json:"caRootsData"`
	CAIntermediatesData []byte `json:"caIntermediatesData"`
	SubjectEmail        string `json:"subjectEmail"`
	SubjectHostname     string `json:"subjectHostname"`
}

// requirement returns a compiled requirement.
func (j *Judge) requirement(asked *policy.Requirement) (*requirement, error) {
	if known, ok := j.requirements.Get(asked.ID); ok && asked.ID != "" {
		return known, nil
	}
	made, err := newRequirement(asked.JSON)
	if err != nil {
		return nil, fmt.Errorf("requirement %s: %w", asked.ID, err)
	}
	if asked.ID != "" {
		j.requirements.Add(asked.ID, made)
	}
	return made, nil
}

// strictly decodes JSON and refuses fields that the value does not have.
func strictly(raw []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(value)
}

// newRequirement parses a requirement. containers/image and package signature have parsed it before and found no
// problem, so an error is a bug: a requirement that is parsed only in part would require less.
func newRequirement(raw []byte) (*requirement, error) {
	var d document
	if err := strictly(raw, &d); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	made, err := newStatementRequirement(d)
	if err != nil {
		return nil, err
	}
	if made.identity, err = signedidentity.Parse(d.SignedIdentity); err != nil {
		return nil, err
	}
	if made.logs, err = parseLogs(d.RekorPublicKeyData, d.RekorPublicKeyDatas); err != nil {
		return nil, err
	}
	if made.trusted, err = d.trusted(); err != nil {
		return nil, err
	}
	if err := made.addSigners(d); err != nil {
		return nil, err
	}
	return made, nil
}

// newStatementRequirement reads what is to be signed: the image, or a statement about it.
func newStatementRequirement(d document) (*requirement, error) {
	made := &requirement{predicateType: d.PredicateType}
	switch {
	case d.Type == policy.SigstoreSigned && d.PredicateType == "" && d.Where == "":
		return made, nil
	case d.Type != policy.Attested || d.PredicateType == "":
		return nil, fmt.Errorf("its type is %q, and its predicate type %q", d.Type, d.PredicateType)
	case d.Where == "":
		return made, nil
	}
	var err error
	if made.where, err = condition.Compile(d.Where); err != nil {
		return nil, fmt.Errorf("where: %w", err)
	}
	return made, nil
}

// addSigners reads the trusted signers: keys, Fulcio or a PKI, and only one of these.
func (r *requirement) addSigners(d document) (err error) {
	hasKeys := d.KeyData != nil || d.KeyDatas != nil
	switch {
	case hasKeys && d.Fulcio == nil && d.PKI == nil:
		r.keys, err = parseKeys(d)
	case !hasKeys && d.Fulcio != nil && d.PKI == nil:
		r.authority, err = d.Fulcio.authority(r)
	case !hasKeys && d.Fulcio == nil && d.PKI != nil && r.trusted == nil:
		r.authority, err = d.PKI.authority(r.logs != nil)
	default:
		err = errors.New("it needs one of keys, fulcio and pki")
	}
	return err
}

func (k *keyless) authority(r *requirement) (made *authority, err error) {
	switch {
	case r.trusted != nil && k.CAData == nil:
		made = &authority{root: r.trusted.root}
	case r.trusted == nil && r.logs != nil:
		if made, err = newAuthority(k.CAData, nil); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("fulcio needs a trusted root, or certificates and a key of Rekor")
	}
	if made.signer, err = fulcio.NewSigner(k.Identity); err != nil {
		return nil, fmt.Errorf("fulcio: %w", err)
	}
	return made, nil
}

func (p *pki) authority(logged bool) (*authority, error) {
	if logged || p.SubjectEmail == "" && p.SubjectHostname == "" {
		return nil, errors.New("pki needs an e-mail address or a host name, and no key of Rekor")
	}
	made, err := newAuthority(p.CARootsData, p.CAIntermediatesData)
	if err != nil {
		return nil, err
	}
	made.email, made.hostname = p.SubjectEmail, p.SubjectHostname
	return made, nil
}

// parseLogs parses the keys of Rekor. A log's ID is the hash of its key (RFC 6962, section 3.2).
func parseLogs(one []byte, several [][]byte) (map[string]*root.TransparencyLog, error) {
	keys, err := publicKeys(one, several)
	if err != nil {
		return nil, fmt.Errorf("keys of Rekor: %w", err)
	}
	if keys == nil {
		return nil, nil //nolint:nilnil // A requirement without keys of Rekor needs no log.
	}
	logs := make(map[string]*root.TransparencyLog, len(keys))
	for i, public := range keys {
		hash, err := signatureHash(public)
		if err != nil {
			return nil, fmt.Errorf("public key %d of Rekor: %w", i+1, err)
		}
		der, err := marshal(public)
		if err != nil {
			return nil, fmt.Errorf("public key %d of Rekor: %w", i+1, err)
		}
		id := sha256.Sum256(der)
		logs[hex.EncodeToString(id[:])] = &root.TransparencyLog{
			ID: id[:], PublicKey: public, SignatureHashFunc: hash,
			// policy.json has no validity period for keys, but sigstore-go requires a start.
			ValidityPeriodStart: time.Unix(1, 0),
		}
	}
	return logs, nil
}

// signers describes the trusted signers.
func (r *requirement) signers() string {
	if r.authority != nil {
		return "identity"
	}
	return "key"
}
