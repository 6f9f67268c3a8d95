package attack_test

import "testing"

// The attacks share two nodes, like tenants. Each attack has its own repositories.
func TestAttacks(t *testing.T) {
	l := newLab(t)
	t.Run("an alias that sorts first gives a pod the attacker's root filesystem", l.aliasOfRootfs)
	t.Run("an alias gives an image volume the attacker's files under a signed path", l.aliasOfVolume)
	t.Run("a volume's image is not admitted because of the container's", l.unsignedVolume)
	t.Run("other repositories hold the same manifest with junk for signatures", l.junkSignatures)
	t.Run("signatures are copied to where they do not belong", l.copiedSignatures)
	t.Run("manifests that sort before the signed one surround its config", l.groundManifests)
	t.Run("two repositories hold one config and one of them signs", l.oneConfigTwice)
	t.Run("an unsigned config borrows the layers of a signed image", l.borrowedLayers)
	t.Run("an image volume shares its layers with a signed image", l.borrowedVolume)
	t.Run("an index lists a manifest larger than any that is read", l.oversizeManifests)
	t.Run("an index lists a manifest of 300 MiB", l.hugeManifest)
	t.Run("an index lists too many manifests", l.wideIndexes)
	t.Run("indexes list indexes", l.nestedIndexes)
	t.Run("images list thousands of manifests each", l.manyWideIndexes)
	t.Run("a reference means another image than the one that runs", l.forgedReferences)
	t.Run("annotations claim another reference", l.forgedAnnotations)
	t.Run("a name carries the digest of another image", l.nameWithOtherDigest)
	t.Run("a tag moves after the pull", l.movedTag)
	t.Run("tags move while containers are created", l.movingTags)
	t.Run("a namespace leads out of the policy directory", l.escapingNamespace)
	t.Run("the policy directory contains entries that are not files", l.strangeDocuments)
	t.Run("a tenant floods the node with what is refused", l.flood)
	t.Run("no refusal reveals images of other tenants", l.readableRefusals)
}
