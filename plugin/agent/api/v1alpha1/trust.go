package v1alpha1

// Policy is what images need.
type Policy struct {
	// rootOfTrust is who has to sign an image.
	// +required
	RootOfTrust RootOfTrust `json:"rootOfTrust"`
	// signedIdentity is which image names a signature may have. Without it, the signature has the name of the image, or
	// its repository if the image is named by digest.
	// +optional
	SignedIdentity *SignedIdentity `json:"signedIdentity,omitempty"`
}

// PolicyType is the kind of a root of trust.
//
// +kubebuilder:validation:Enum=PublicKey;FulcioCAWithRekor;PKI;GPGKeys;Accept;Reject
type PolicyType string

// The kinds of roots of trust. The last three are not OpenShift's.
const (
	PublicKeyType         PolicyType = "PublicKey"
	FulcioCAWithRekorType PolicyType = "FulcioCAWithRekor"
	PKIType               PolicyType = "PKI"
	GPGKeysType           PolicyType = "GPGKeys"
	AcceptType            PolicyType = "Accept"
	RejectType            PolicyType = "Reject"
)

// RootOfTrust is who has to sign an image. The field of its type is required, and no other is allowed.
//
// +kubebuilder:validation:XValidation:rule="(self.policyType == 'PublicKey') == has(self.publicKey)",message="publicKey is required when policyType is PublicKey, and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="(self.policyType == 'FulcioCAWithRekor') == has(self.fulcioCAWithRekor)",message="fulcioCAWithRekor is required when policyType is FulcioCAWithRekor, and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="(self.policyType == 'PKI') == has(self.pki)",message="pki is required when policyType is PKI, and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="(self.policyType == 'GPGKeys') == has(self.gpgKeys)",message="gpgKeys is required when policyType is GPGKeys, and forbidden otherwise"
type RootOfTrust struct {
	// policyType is the kind: PublicKey, FulcioCAWithRekor, PKI, GPGKeys, Accept (no signature is needed) or Reject (no
	// image is admitted).
	// +required
	// +unionDiscriminator
	PolicyType PolicyType `json:"policyType"`
	// publicKey trusts keys of cosign.
	// +optional
	PublicKey *PublicKey `json:"publicKey,omitempty"`
	// fulcioCAWithRekor trusts an identity in certificates of Fulcio, with signatures that Rekor has recorded.
	// +optional
	FulcioCAWithRekor *FulcioCAWithRekor `json:"fulcioCAWithRekor,omitempty"`
	// pki trusts an identity in certificates of the authorities given.
	// +optional
	PKI *PKI `json:"pki,omitempty"`
	// gpgKeys trusts OpenPGP keys, whose signatures are stored in a lookaside server.
	// +optional
	GPGKeys *GPGKeys `json:"gpgKeys,omitempty"`
}

// PublicKey trusts keys of cosign: any one of them is enough.
//
// +kubebuilder:validation:XValidation:rule="has(self.keyData) != has(self.keyDatas)",message="one of keyData and keyDatas is required"
// +kubebuilder:validation:XValidation:rule="!(has(self.rekorKeyData) && has(self.rekorKeyDatas))",message="rekorKeyData and rekorKeyDatas exclude each other"
type PublicKey struct {
	// keyData is one public key in PEM.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="string(self).matches('(?s)-----BEGIN [A-Z ]*PUBLIC KEY-----.*-----END [A-Z ]*PUBLIC KEY-----')",message="a key is in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----"
	KeyData []byte `json:"keyData,omitempty"`
	// keyDatas are several public keys in PEM.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=8192
	// +kubebuilder:validation:items:XValidation:rule="string(self).matches('(?s)-----BEGIN [A-Z ]*PUBLIC KEY-----.*-----END [A-Z ]*PUBLIC KEY-----')",message="a key is in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----"
	KeyDatas [][]byte `json:"keyDatas,omitempty"`
	// rekorKeyData is the public key of a log that has to have recorded the signature, in PEM.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="string(self).matches('(?s)-----BEGIN [A-Z ]*PUBLIC KEY-----.*-----END [A-Z ]*PUBLIC KEY-----')",message="a key is in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----"
	RekorKeyData []byte `json:"rekorKeyData,omitempty"`
	// rekorKeyDatas are the public keys of several logs, one of which has to have recorded the signature.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=8192
	// +kubebuilder:validation:items:XValidation:rule="string(self).matches('(?s)-----BEGIN [A-Z ]*PUBLIC KEY-----.*-----END [A-Z ]*PUBLIC KEY-----')",message="a key is in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----"
	RekorKeyDatas [][]byte `json:"rekorKeyDatas,omitempty"`
}

// FulcioCAWithRekor trusts an identity in certificates of Fulcio.
type FulcioCAWithRekor struct {
	// fulcioCAData are the certificates of the authority, in PEM.
	// +required
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="string(self).contains('-----BEGIN CERTIFICATE-----') && string(self).findAll('-----BEGIN CERTIFICATE-----').size() == string(self).findAll('-----END CERTIFICATE-----').size()",message="certificates are in PEM, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
	FulcioCAData []byte `json:"fulcioCAData"`
	// rekorKeyData is the public key of the log that has to have recorded the signature, in PEM.
	// +required
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="string(self).matches('(?s)-----BEGIN [A-Z ]*PUBLIC KEY-----.*-----END [A-Z ]*PUBLIC KEY-----')",message="a key is in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----"
	RekorKeyData []byte `json:"rekorKeyData"`
	// fulcioSubject is the identity.
	// +required
	FulcioSubject FulcioSubject `json:"fulcioSubject"`
}

// FulcioSubject is an identity in certificates of Fulcio.
type FulcioSubject struct {
	// oidcIssuer is the URL of the issuer that has confirmed the identity to Fulcio.
	// +required
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self)",message="oidcIssuer must be a valid URL"
	OIDCIssuer string `json:"oidcIssuer"`
	// signedEmail is the e-mail address of the signer.
	// +required
	// +kubebuilder:validation:MaxLength=320
	// +kubebuilder:validation:XValidation:rule="self.matches('^\\\\S+@\\\\S+$')",message="invalid email address"
	SignedEmail string `json:"signedEmail"`
}

// PKI trusts an identity in certificates of authorities.
type PKI struct {
	// caRootsData are the certificates of the root authorities, in PEM.
	// +required
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="string(self).contains('-----BEGIN CERTIFICATE-----') && string(self).findAll('-----BEGIN CERTIFICATE-----').size() == string(self).findAll('-----END CERTIFICATE-----').size()",message="certificates are in PEM, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
	CARootsData []byte `json:"caRootsData"`
	// caIntermediatesData are the certificates of intermediate authorities, in PEM.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="string(self).contains('-----BEGIN CERTIFICATE-----') && string(self).findAll('-----BEGIN CERTIFICATE-----').size() == string(self).findAll('-----END CERTIFICATE-----').size()",message="certificates are in PEM, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
	CAIntermediatesData []byte `json:"caIntermediatesData,omitempty"`
	// pkiCertificateSubject is the identity.
	// +required
	PKICertificateSubject PKICertificateSubject `json:"pkiCertificateSubject"`
}

// PKICertificateSubject is an identity in certificates. If both fields are set, both have to match.
//
// +kubebuilder:validation:XValidation:rule="has(self.email) || has(self.hostname)",message="at least one of email or hostname must be set in pkiCertificateSubject"
type PKICertificateSubject struct {
	// email is the e-mail address of the signer.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	// +kubebuilder:validation:XValidation:rule="self.matches('^\\\\S+@\\\\S+$')",message="invalid email address in pkiCertificateSubject"
	Email string `json:"email,omitempty"`
	// hostname is the DNS name of the signer.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self.startsWith('*.') ? self.replace('*.', '', 1) : self).hasValue()",message="hostname should be a valid dns 1123 subdomain name, optionally prefixed by '*.'"
	Hostname string `json:"hostname,omitempty"`
}

// GPGKeys trusts OpenPGP keys: any one of them is enough.
type GPGKeys struct {
	// keyDatas are the public keys, armored or binary.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=65536
	KeyDatas [][]byte `json:"keyDatas"`
}
