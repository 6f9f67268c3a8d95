package v1alpha1

// MatchPolicy is how the name in a signature is compared with the name of the image.
//
// +kubebuilder:validation:Enum=MatchRepoDigestOrExact;MatchRepository;ExactRepository;RemapIdentity
type MatchPolicy string

// The ways to compare names, which are those of containers-policy.json(5).
const (
	MatchRepoDigestOrExact MatchPolicy = "MatchRepoDigestOrExact"
	MatchRepository        MatchPolicy = "MatchRepository"
	ExactRepository        MatchPolicy = "ExactRepository"
	RemapIdentity          MatchPolicy = "RemapIdentity"
)

// SignedIdentity is which image names a signature may have.
//
// +kubebuilder:validation:XValidation:rule="(self.matchPolicy == 'ExactRepository') == has(self.exactRepository)",message="exactRepository is required when matchPolicy is ExactRepository, and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="(self.matchPolicy == 'RemapIdentity') == has(self.remapIdentity)",message="remapIdentity is required when matchPolicy is RemapIdentity, and forbidden otherwise"
type SignedIdentity struct {
	// matchPolicy is how names are compared. MatchRepoDigestOrExact: the name in the signature is that of the image, or
	// its repository if the image is named by digest. MatchRepository: the repository is the same, and tags differ.
	// ExactRepository: the repository is the one in exactRepository. RemapIdentity: a prefix of the image's name is
	// replaced before the comparison, for mirrors.
	// +required
	// +unionDiscriminator
	MatchPolicy MatchPolicy `json:"matchPolicy"`
	// exactRepository is the repository for ExactRepository.
	// +optional
	ExactRepository *ExactRepositoryIdentity `json:"exactRepository,omitempty"`
	// remapIdentity is the replacement for RemapIdentity.
	// +optional
	RemapIdentity *RemapIdentityIdentity `json:"remapIdentity,omitempty"`
}

// RepositoryPrefix is a host, with a port if it has one, or a repository, without a tag and a digest.
//
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="!self.matches('.*/.*:[^/]*$') && !self.contains('@')",message="invalid repository or prefix in the signedIdentity, should not include the tag or digest"
// +kubebuilder:validation:XValidation:rule="self.matches('^(localhost|[a-zA-Z0-9-]+(\\\\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(\\\\.[a-zA-Z0-9-]+)*:[0-9]+|\\\\[[a-fA-F0-9:]+\\\\])(:[0-9]+)?(/[a-z0-9]+((\\\\.|_|__|-+)[a-z0-9]+)*)*$')",message="invalid repository or prefix in the signedIdentity"
type RepositoryPrefix string

// ExactRepositoryIdentity is the repository that a signature has.
type ExactRepositoryIdentity struct {
	// repository is the repository, such as docker.io/library/busybox.
	// +required
	Repository RepositoryPrefix `json:"repository"`
}

// RemapIdentityIdentity replaces a prefix of the image's name by another before names are compared.
type RemapIdentityIdentity struct {
	// prefix is the prefix of the image's name. A name without it is compared as it is.
	// +required
	Prefix RepositoryPrefix `json:"prefix"`
	// signedPrefix replaces the prefix.
	// +required
	SignedPrefix RepositoryPrefix `json:"signedPrefix"`
}
