package doctor

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// policyChecks are the checks of policy documents, as the files have them now.
func policyChecks() []Check {
	return []Check{
		{
			"policies", "the policy documents are valid",
			"correct the file; countersign policy check shows every problem. Until then an earlier version applies, or " +
				"nothing is admitted",
			ofPolicies(invalidDocuments),
		},
		{
			"policy_names", "every file in the policy directory is a document",
			"rename the file to NAMESPACE.json, or move it out of the directory: it applies to no namespace",
			ofPolicies(ignoredFiles),
		},
		{
			"keys", "the keys of every requirement can be used",
			"install the key file that the requirement names: until then nothing meets the requirement", ofPolicies(badKeys),
		},
		{
			"certificates", "no certificate of a requirement has expired",
			"replace the certificate in the requirement: nothing that is signed now meets it", certificatesAt(0),
		},
		{
			"certificates_soon", "no certificate of a requirement expires within 30 days",
			"replace the certificate in the requirement before it expires", certificatesAt(soon),
		},
		{
			"scopes", "every scope can match an image",
			"write the scope as the cause says; countersign policy check shows all of them", ofPolicies(deadScopes),
		},
	}
}

// ofPolicies returns a check that finds problems with policies.
func ofPolicies(find func(*Node) []string) func(*Node) Answer {
	return func(n *Node) Answer {
		if _, err := n.config(); err != nil {
			return unknown(err)
		}
		return answers(find(n))
	}
}

// invalidDocuments leaves out problems with keys. A daemon that answers may have found others than the files have now.
func invalidDocuments(n *Node) []string {
	var found []string
	for _, problem := range n.Policies.Status.DocumentProblems() {
		found = append(found, problem.Text)
	}
	if check := n.Daemon.Value.Check("policies"); len(found) == 0 && check.Status == string(No) {
		found = append(found, check.Cause)
	}
	return found
}

func ignoredFiles(n *Node) []string {
	var found []string
	for _, entry := range n.Policies.Ignored {
		found = append(found, entry.Path+": "+entry.Cause)
	}
	return found
}

func badKeys(n *Node) []string {
	var found []string
	for _, key := range n.Policies.Status.Keys {
		found = append(found, fmt.Sprintf("%s: %s", placeOf(key.Document, key.Scope, key.IsDefault), key.Cause))
	}
	return found
}

func placeOf(document, scope string, isDefault bool) string {
	if isDefault {
		return "the default of " + document
	}
	return fmt.Sprintf("scope %q of %s", scope, document)
}

func deadScopes(n *Node) []string {
	var found []string
	for _, document := range n.Policies.documents() {
		for _, scope := range slices.Sorted(maps.Keys(document.Dead)) {
			found = append(found, fmt.Sprintf("%s: %s", placeOf(document.Name, scope, false), document.Dead[scope]))
		}
	}
	return found
}

// documents returns the documents that can be used, the system policy first.
func (p *Policies) documents() (found []*policy.Document) {
	if p.Set == nil {
		return nil
	}
	for _, source := range []policy.Source{p.Set.System, p.Set.Cluster} {
		if source.Document != nil {
			found = append(found, source.Document)
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(p.Set.Namespaces)) {
		if document := p.Set.Namespaces[namespace].Document; document != nil {
			found = append(found, document)
		}
	}
	return found
}

// soon is how long before the end of a certificate its replacement is due.
const soon = 30 * 24 * time.Hour

// certificatesAt returns a check whether certificates are valid at a time from now. With a time ahead it leaves out
// those that are not valid now.
func certificatesAt(ahead time.Duration) func(*Node) Answer {
	return ofPolicies(func(n *Node) []string {
		var found []string
		now := n.Clock.Now
		n.Policies.eachKind(func(place string, certificates []*x509.Certificate) {
			last := slices.MaxFunc(certificates, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
			var text string
			switch {
			case now.After(last.NotAfter) && ahead == 0:
				text = "expired on " + last.NotAfter.UTC().Format(time.DateOnly)
			case now.Before(last.NotBefore) && ahead == 0:
				text = "is not valid before " + last.NotBefore.UTC().Format(time.DateOnly)
			case ahead > 0 && !now.After(last.NotAfter) && now.Add(ahead).After(last.NotAfter):
				text = "expires on " + last.NotAfter.UTC().Format(time.DateOnly)
			default:
				return
			}
			found = append(found, fmt.Sprintf("%s: certificate %q %s", place, last.Subject, text))
		})
		return found
	})
}

// eachKind calls a function for the root certificates and the intermediate certificates of each requirement. Documents
// with equal requirements share them.
func (p *Policies) eachKind(call func(place string, certificates []*x509.Certificate)) {
	seen := make(map[*policy.Requirement]bool)
	each := func(place string, list []*policy.Requirement) {
		for _, requirement := range list {
			if seen[requirement] {
				continue
			}
			seen[requirement] = true
			trusted := signature.CertificatesOf(requirement)
			for _, certificates := range [][]*x509.Certificate{trusted.Roots, trusted.Intermediates} {
				if len(certificates) > 0 {
					call(place, certificates)
				}
			}
		}
	}
	for _, document := range p.documents() {
		each(placeOf(document.Name, "", true), document.Default)
		for _, scope := range slices.Sorted(maps.Keys(document.Scopes)) {
			each(placeOf(document.Name, scope, false), document.Scopes[scope])
		}
	}
}
