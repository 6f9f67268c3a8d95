package evidence

import (
	"fmt"
	"slices"
	"strings"
)

// room is how much more one directory may hold: so many bytes, and so many files of each kind.
type room struct {
	bytes               int64
	signatures, bundles int
}

func newRoom() *room {
	return &room{bytes: maxDirectory, signatures: maxSignatures, bundles: maxBundles}
}

// take returns the files that there is room for, which it uses up. The newest, which are the last, come first, of both
// kinds in turn, so that neither kind keeps out the other. A file that does not fit takes no room.
func (r *room) take(signatures, bundles [][]byte) (takenSignatures, takenBundles [][]byte) {
	for i := range max(len(signatures), len(bundles)) {
		if n := len(signatures) - 1 - i; n >= 0 && r.fits(signatures[n], &r.signatures) {
			takenSignatures = append(takenSignatures, signatures[n])
		}
		if n := len(bundles) - 1 - i; n >= 0 && r.fits(bundles[n], &r.bundles) {
			takenBundles = append(takenBundles, bundles[n])
		}
	}
	slices.Reverse(takenSignatures)
	slices.Reverse(takenBundles)
	return takenSignatures, takenBundles
}

func (r *room) fits(file []byte, number *int) bool {
	if *number == 0 || int64(len(file)) > r.bytes {
		return false
	}
	*number--
	r.bytes -= int64(len(file))
	return true
}

// fit leaves out what a directory has no room for: what was imported comes before what a registry has, whatever kind
// it is, and of each the newest. The detail says what was left out.
func (c *content) fit() (detail string) {
	registrySignatures, importedSignatures := split(c.signatures, c.imported.signatures)
	registryBundles, importedBundles := split(c.bundles, c.imported.bundles)
	left := newRoom()
	signatures, bundles := left.take(importedSignatures, importedBundles)
	omittedImported := c.imported.signatures + c.imported.bundles - len(signatures) - len(bundles)
	c.imported.signatures, c.imported.bundles = len(signatures), len(bundles)
	otherSignatures, otherBundles := left.take(registrySignatures, registryBundles)
	omitted := len(registrySignatures) + len(registryBundles) - len(otherSignatures) - len(otherBundles)
	c.signatures = slices.Concat(otherSignatures, signatures)
	c.bundles = slices.Concat(otherBundles, bundles)

	var details []string
	if omitted > 0 {
		details = append(details, fmt.Sprintf(
			"%d signatures and bundles were left out: imported ones come first, then the newest", omitted))
	}
	if omittedImported > 0 {
		details = append(details, fmt.Sprintf(
			"%d imported signatures and bundles were left out: there is room for %d of each kind and for %d MiB",
			omittedImported, MaxFiles, maxDirectory>>20))
	}
	return strings.Join(details, "; ")
}

// split splits files, the last of which were imported.
func split(files [][]byte, imported int) (others, last [][]byte) {
	return files[:len(files)-imported], files[len(files)-imported:]
}
