package convert

// spec is the specification of an object of this project, as far as conversions need it. Those of OpenShift have the
// same fields.
type spec struct {
	Scopes            []string  `yaml:"scopes"`
	Policy            policy    `yaml:"policy"`
	Mode              string    `yaml:"mode,omitempty"`
	NamespaceSelector *selector `yaml:"namespaceSelector,omitempty"`
}

type policy struct {
	RootOfTrust    rootOfTrust     `yaml:"rootOfTrust"`
	SignedIdentity *signedIdentity `yaml:"signedIdentity,omitempty"`
}

// rootOfTrust has its key data in base64.
type rootOfTrust struct {
	PolicyType        string     `yaml:"policyType"`
	PublicKey         *publicKey `yaml:"publicKey,omitempty"`
	FulcioCAWithRekor *fulcio    `yaml:"fulcioCAWithRekor,omitempty"`
	PKI               *pki       `yaml:"pki,omitempty"`
}

type publicKey struct {
	KeyData      string   `yaml:"keyData,omitempty"`
	KeyDatas     []string `yaml:"keyDatas,omitempty"`
	RekorKeyData string   `yaml:"rekorKeyData,omitempty"`
}

type fulcio struct {
	FulcioCAData  string `yaml:"fulcioCAData"`
	RekorKeyData  string `yaml:"rekorKeyData"`
	FulcioSubject struct {
		OIDCIssuer  string `yaml:"oidcIssuer"`
		SignedEmail string `yaml:"signedEmail"`
	} `yaml:"fulcioSubject"`
}

type pki struct {
	CARootsData           string `yaml:"caRootsData"`
	CAIntermediatesData   string `yaml:"caIntermediatesData,omitempty"`
	PKICertificateSubject struct {
		Email    string `yaml:"email,omitempty"`
		Hostname string `yaml:"hostname,omitempty"`
	} `yaml:"pkiCertificateSubject"`
}

type signedIdentity struct {
	MatchPolicy     string `yaml:"matchPolicy"`
	ExactRepository *struct {
		Repository string `yaml:"repository"`
	} `yaml:"exactRepository,omitempty"`
	RemapIdentity *struct {
		Prefix       string `yaml:"prefix"`
		SignedPrefix string `yaml:"signedPrefix"`
	} `yaml:"remapIdentity,omitempty"`
}

type selector struct {
	MatchLabels      map[string]string `yaml:"matchLabels,omitempty"`
	MatchExpressions []matchExpression `yaml:"matchExpressions,omitempty"`
}

type matchExpression struct {
	Key      string   `yaml:"key"`
	Operator string   `yaml:"operator"`
	Values   []string `yaml:"values,omitempty"`
}

// The modes of a policy.
const (
	enforce = "enforce"
	audit   = "audit"
)

// sameRepository is the identity of projects that compare no name: the digest is signed, and a signature with the name
// of another repository was made for another image.
func sameRepository() *signedIdentity { return &signedIdentity{MatchPolicy: "MatchRepository"} }
