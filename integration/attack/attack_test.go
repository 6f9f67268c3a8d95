package attack_test

import "testing"

// The attacks share two nodes, as tenants do. Each has repositories of its own.
func TestAttacks(t *testing.T) {
	l := newLab(t)
	for _, attack := range []struct {
		name string
		test func(*testing.T, *lab)
	}{
		{"an alias that sorts first gives a pod the attacker's root filesystem", aliasOfRootfs},
		{"an alias gives an image volume the attacker's files under a signed path", aliasOfVolume},
		{"a volume's image is not let in by the container's", unsignedVolume},
		{"other repositories hold the same manifest with junk for signatures", junkSignatures},
		{"signatures are copied to where they do not belong", copiedSignatures},
		{"two repositories hold one config and one of them signs", oneConfigTwice},
		{"an unsigned config borrows the layers of a signed image", borrowedLayers},
		{"an image volume shares its layers with a signed image", borrowedVolume},
		{"an index lists a manifest larger than any that is read", oversizeManifests},
		{"an index lists a manifest of 300 MiB", hugeManifest},
		{"an index lists more than anybody needs", wideIndexes},
		{"indexes list indexes", nestedIndexes},
		{"a reference means another image than the one that runs", forgedReferences},
		{"annotations claim another reference", forgedAnnotations},
		{"a name carries the digest of another image", nameWithOtherDigest},
		{"a tag moves after the pull", movedTag},
		{"tags move while containers are created", movingTags},
		{"a namespace leads out of the policy directory", escapingNamespace},
		{"the policy directory holds what is no file", strangeDocuments},
		{"a tenant floods the node with what is refused", flood},
	} {
		t.Run(attack.name, func(t *testing.T) { attack.test(t, l) })
	}
	t.Run("no refusal tells a tenant what is not his", func(t *testing.T) { l.refusals.check(t, l) })
}
